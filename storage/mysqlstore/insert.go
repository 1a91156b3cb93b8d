package mysqlstore

import (
	"context"
	"strings"
)

// rowsPerStatement is the largest number of rows in one statement. It also limits the
// prepared statements of a table, one for each number of rows.
const rowsPerStatement = 64

// table is a target for rows.
type table struct {
	verb    string // INSERT, or REPLACE
	name    string
	columns string // separated by commas
}

// insert writes rows, as many in one statement as the database allows. For a row that is
// too large for the text of a statement, it uses a prepared statement, which sends values
// unescaped.
func (t *transaction) insert(ctx context.Context, into table, rows [][]any) error {
	width := strings.Count(into.columns, ",") + 1
	head := into.verb + " INTO " + into.name + " (" + into.columns + ") VALUES "
	row := "(" + marks(width) + ")"
	for len(rows) > 0 {
		n, size := 0, int64(0)
		for n < min(len(rows), rowsPerStatement) {
			size += sizeOf(rows[n])
			if n > 0 && size > t.text {
				break
			}
			n++
		}
		args := make([]any, 0, n*width)
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		text := head + strings.Repeat(row+",", n-1) + row
		if _, err := t.execResult(ctx, size > t.text, text, args); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// sizeOf returns the approximate size of a row's values in bytes.
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
