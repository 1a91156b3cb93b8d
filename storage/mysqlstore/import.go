package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

const (
	// The limits of one transaction of an import: rows, and bytes of content unless a single
	// row has more.
	importRows  = 200
	importBytes = 8 << 20
)

// ImportOptions are the options of [ImportOriginal].
type ImportOptions struct {
	// Skip leaves out rows that cannot be imported, instead of importing nothing.
	Skip bool
	// DryRun reports what an import would do, and writes nothing.
	DryRun bool
	// MaxContent is the limit of one content in bytes. 0 means
	// [conf.DefaultMaxContent], or [Store.MaxContent] if that is less.
	MaxContent int64
}

// ImportReport is the result of an import.
type ImportReport struct {
	Imported int          // imported rows or, with DryRun, rows that would be imported
	Present  int          // rows whose key has or had a value
	Differ   []conf.Key   // keys of Present with another content, or deleted
	Refused  []RefusedRow // rows that cannot be imported
}

// RefusedRow is a row of the original that cannot be imported.
type RefusedRow struct {
	ID     int64
	DataID string
	Group  string
	Err    error // wraps conf.ErrInvalid or conf.ErrTooLarge, with the reason
}

// ImportOriginal copies the configurations of an original gdiamond, the rows of
// its table config_info, into to. It only reads the table.
//
// Each row becomes a separate change, in the order of the rows' ids. Contents are those
// that the original served: the text of the column, in UTF-8. A key that has a value in to,
// or had one that was deleted, is not changed. So an import can be run again, and continues
// where it stopped. Later changes of the original are not imported.
//
// If a row cannot be imported, because its name has invalid characters or its content is too
// large, nothing is imported and the error wraps [conf.ErrInvalid]. The report lists all
// such rows. See [ImportOptions.Skip].
func ImportOriginal(ctx context.Context, from *sql.DB, to diamond.Storage, options ImportOptions) (*ImportReport, error) {
	if options.MaxContent <= 0 {
		options.MaxContent = conf.DefaultMaxContent
		if s, ok := to.(interface{ MaxContent() int64 }); ok {
			options.MaxContent = min(options.MaxContent, s.MaxContent())
		}
	}
	in := &importing{from: from, to: to, options: options}
	rows, err := in.list(ctx)
	if hasNumber(err, noSuchTable) || hasNumber(err, noSuchColumn) {
		return nil, conf.Errorf(conf.ErrUnavailable, "the database to import from has no table config_info of the original gdiamond")
	}
	if err != nil {
		return nil, failure(ctx, err)
	}
	if n := len(in.report.Refused); n > 0 && !options.Skip {
		return &in.report, conf.Errorf(conf.ErrInvalid, "%d of %d rows cannot be imported, so none was; the first is %v",
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

// importing is a running import.
type importing struct {
	from    *sql.DB
	to      diamond.Storage
	options ImportOptions
	report  ImportReport
}

// original is a row of config_info, without its content.
type original struct {
	id, size int64
	key      conf.Key
	modified string // as the database writes it
}

// asBytes returns an expression for the text of a column as UTF-8 bytes, regardless of the
// character sets of the column and the connection.
func asBytes(column string) string { return "CAST(CONVERT(" + column + " USING utf8mb4) AS BINARY)" }

// list reads all rows without their contents, and reports those that cannot be imported.
func (in *importing) list(ctx context.Context) ([]original, error) {
	var good []original
	seen := make(map[conf.Key]bool)
	err := queryOn(ctx, in.from, "SELECT id, "+asBytes("data_id")+", "+asBytes("group_id")+", LENGTH("+asBytes("content")+"), "+
		"CAST(gmt_modified AS CHAR) FROM config_info ORDER BY id", nil, func(rows *sql.Rows) error {
		var r original
		var dataID, group string
		var modified sql.NullString
		if err := rows.Scan(&r.id, &dataID, &group, &r.size, &modified); err != nil {
			return err
		}
		r.key, r.modified = conf.NewKey(group, dataID), modified.String
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
		return storage.KeyError(r.key, conf.ErrInvalid, "another row has this key too")
	}
	if r.size > in.options.MaxContent {
		return storage.KeyError(r.key, conf.ErrTooLarge, "content: %d bytes, more than %d", r.size, in.options.MaxContent)
	}
	return nil
}

// copy imports the rows whose keys are new.
func (in *importing) copy(ctx context.Context, rows []original) error {
	var sets []conf.ChangeSet
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
			in.present(r.key, had[0].MD5 == conf.MD5Hex(content))
			continue
		}
		sets = append(sets, conf.ChangeSet{
			Drafts: []conf.Draft{{
				Key: r.key, Content: content, Type: conf.TypeOf(r.key.DataID),
				IfRevision: conf.Revision(0), AllowEmpty: true,
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
		case errors.Is(r.Err, conf.ErrConflict):
			in.present(sets[i].Drafts[0].Key, false) // published just now
		default:
			return r.Err
		}
	}
	return nil
}

func (in *importing) present(key conf.Key, same bool) {
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
