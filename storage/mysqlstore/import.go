package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

const (
	// What one transaction of an import writes at most: rows, and bytes of
	// content, or one row that has more.
	importRows  = 200
	importBytes = 8 << 20
)

// ImportOptions say how [ImportOriginal] goes about it.
type ImportOptions struct {
	// Skip leaves out the rows that cannot be imported, instead of importing nothing.
	Skip bool
	// DryRun finds out what an import would do, and writes nothing.
	DryRun bool
	// MaxContent is how many bytes one content may have; 0:
	// [diamond.DefaultMaxContent], or [Store.MaxContent] where that is less.
	MaxContent int64
}

// ImportReport says what an import did.
type ImportReport struct {
	Imported int           // rows; with DryRun, those that would be
	Present  int           // rows whose key has the same content, or once had a value
	Differ   []diamond.Key // of Present, those that have another content, or were deleted
	Refused  []RefusedRow  // rows that cannot be imported
}

// RefusedRow is a row of the original's that cannot be a configuration here.
type RefusedRow struct {
	ID     int64
	DataID string
	Group  string
	Err    error // wraps diamond.ErrInvalid or diamond.ErrTooLarge, and says why
}

// ImportOriginal copies the configurations of an original gdiamond, the rows of
// its table config_info, into to. It only reads the table.
//
// Each row becomes a change of its own, in the order of their ids. Contents are
// those that the original served: the text of the column, in UTF-8. A key that
// has a value in to, or had one that was deleted, is left as it is: so an import
// can be run again, and goes on where it ended. A change that the original makes
// afterwards is not brought over.
//
// Where a row cannot be imported, because its name has characters that keys may
// not have or its content is too large, nothing is, and the error wraps
// [diamond.ErrInvalid]; the report lists all such rows. See [ImportOptions.Skip].
func ImportOriginal(ctx context.Context, from *sql.DB, to diamond.Storage, options ImportOptions) (*ImportReport, error) {
	if options.MaxContent <= 0 {
		options.MaxContent = diamond.DefaultMaxContent
		if s, ok := to.(interface{ MaxContent() int64 }); ok {
			options.MaxContent = min(options.MaxContent, s.MaxContent())
		}
	}
	in := &importing{from: from, to: to, options: options}
	rows, err := in.list(ctx)
	if hasNumber(err, noSuchTable) || hasNumber(err, noSuchColumn) {
		return nil, diamond.Errorf(diamond.ErrUnavailable, "the database to import from has no table config_info as the original made it")
	}
	if err != nil {
		return nil, failure(ctx, err)
	}
	if n := len(in.report.Refused); n > 0 && !options.Skip {
		return &in.report, diamond.Errorf(diamond.ErrInvalid, "%d of %d rows cannot be imported, and so none was; the first is %v",
			n, n+len(rows), in.report.Refused[0].Err)
	}
	for len(rows) > 0 {
		n, bytes := 0, int64(0)
		for n < min(len(rows), importRows) {
			if bytes += rows[n].size; n > 0 && bytes > importBytes {
				break
			}
			n++
		}
		if err := in.copy(ctx, rows[:n]); err != nil {
			return &in.report, err
		}
		rows = rows[n:]
	}
	return &in.report, nil
}

// importing is an import under way.
type importing struct {
	from    *sql.DB
	to      diamond.Storage
	options ImportOptions
	report  ImportReport
}

// original is a row of config_info, without its content.
type original struct {
	id, size int64
	key      diamond.Key
	modified string // as the database writes it
}

// asBytes is the text of a column as bytes of UTF-8, whatever the character
// sets of the column and of the connection.
func asBytes(column string) string { return "CAST(CONVERT(" + column + " USING utf8mb4) AS BINARY)" }

// list reads all rows without their contents, and sorts out those that cannot
// be imported.
func (in *importing) list(ctx context.Context) ([]original, error) {
	var good []original
	seen := make(map[diamond.Key]bool)
	err := queryOn(ctx, in.from, "SELECT id, "+asBytes("data_id")+", "+asBytes("group_id")+", LENGTH("+asBytes("content")+"), "+
		"CAST(gmt_modified AS CHAR) FROM config_info ORDER BY id", nil, func(rows *sql.Rows) error {
		var r original
		var dataID, group string
		var modified sql.NullString
		if err := rows.Scan(&r.id, &dataID, &group, &r.size, &modified); err != nil {
			return err
		}
		r.key, r.modified = diamond.NewKey(group, dataID), modified.String
		if err := in.check(&r, seen[r.key]); err != nil {
			in.report.Refused = append(in.report.Refused, RefusedRow{r.id, dataID, group, err})
			return nil
		}
		seen[r.key] = true
		good = append(good, r)
		return nil
	})
	return good, err
}

func (in *importing) check(r *original, twice bool) error {
	if err := r.key.Validate(); err != nil {
		return err
	}
	if twice {
		return storage.KeyError(r.key, diamond.ErrInvalid, "another row has this key too")
	}
	if r.size > in.options.MaxContent {
		return storage.KeyError(r.key, diamond.ErrTooLarge, "content: %d bytes, more than %d", r.size, in.options.MaxContent)
	}
	return nil
}

// copy imports those of rows whose keys are new.
func (in *importing) copy(ctx context.Context, rows []original) error {
	var sets []diamond.ChangeSet
	for i := range rows {
		r := &rows[i]
		content, found, err := in.content(ctx, r.id)
		if err != nil {
			return err
		}
		if !found {
			continue // it was removed meanwhile
		}
		had, err := in.to.History(ctx, r.key, 0, 1)
		if err != nil {
			return err
		}
		if len(had) > 0 {
			in.present(r.key, had[0].MD5 == diamond.MD5Hex(content))
			continue
		}
		sets = append(sets, diamond.ChangeSet{
			Drafts: []diamond.Draft{{
				Key: r.key, Content: content, Type: diamond.TypeOf(r.key.DataID),
				IfRevision: diamond.Revision(0), AllowEmpty: true,
			}},
			Comment: fmt.Sprintf("imported from config_info, row %d, modified %s", r.id, r.modified),
		})
	}
	if len(sets) == 0 {
		return nil
	}
	if in.options.DryRun {
		in.report.Imported += len(sets)
		return nil
	}
	results, err := in.to.Commit(ctx, sets)
	if err != nil {
		return err
	}
	for i, r := range results {
		switch {
		case r.Err == nil:
			in.report.Imported++
		case errors.Is(r.Err, diamond.ErrConflict):
			in.present(sets[i].Drafts[0].Key, false) // published just now
		default:
			return r.Err
		}
	}
	return nil
}

func (in *importing) present(key diamond.Key, same bool) {
	in.report.Present++
	if !same {
		in.report.Differ = append(in.report.Differ, key)
	}
}

func (in *importing) content(ctx context.Context, id int64) (content string, found bool, err error) {
	err = queryOn(ctx, in.from, "SELECT "+asBytes("content")+" FROM config_info WHERE id = ?", []any{id}, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&content)
	})
	return content, found, failure(ctx, err)
}
