package mysqlstore

import (
	"context"
	"strings"
)

// rowsPerStatement is how many rows one statement writes at most.
const rowsPerStatement = 250

// table is where rows are written to.
type table struct {
	verb    string // INSERT, or REPLACE
	name    string
	columns string // separated by commas
}

// insert writes rows, as many in one statement as the database permits. A row
// that is too large for the text of a statement goes in one of its own that is
// prepared, which sends values as they are.
func (t *transaction) insert(ctx context.Context, into table, rows [][]any) error {
	head := into.verb + " INTO " + into.name + " (" + into.columns + ") VALUES "
	for len(rows) > 0 {
		n, size := 0, int64(0)
		for n < min(len(rows), rowsPerStatement) {
			size += sizeOf(rows[n])
			if n > 0 && size > t.statement {
				break
			}
			n++
		}
		var err error
		if n == 1 && size > t.statement {
			err = t.insertLarge(ctx, head, rows[0])
		} else {
			err = t.insertMany(ctx, head, rows[:n])
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (t *transaction) insertMany(ctx context.Context, head string, rows [][]any) error {
	width := len(rows[0])
	row := "(" + marks(width) + ")"
	args := make([]any, 0, len(rows)*width)
	for _, r := range rows {
		args = append(args, r...)
	}
	return t.exec(ctx, head+strings.Repeat(row+",", len(rows)-1)+row, args...)
}

func (t *transaction) insertLarge(ctx context.Context, head string, row []any) (err error) {
	statement, err := t.conn.PrepareContext(ctx, head+"("+marks(len(row))+")")
	if err != nil {
		return err
	}
	defer func() {
		if e := statement.Close(); err == nil {
			err = e
		}
	}()
	_, err = statement.ExecContext(ctx, row...)
	return err
}

// sizeOf returns about how many bytes the values of a row have.
func sizeOf(row []any) int64 {
	size := int64(0)
	for _, v := range row {
		if b, ok := v.([]byte); ok {
			size += int64(len(b))
		}
		size += 20
	}
	return size
}

// marks returns n question marks, separated by commas.
func marks(n int) string { return strings.Repeat("?,", n-1) + "?" }
