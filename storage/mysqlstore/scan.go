package mysqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"strings"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// Scan implements [diamond.Storage].
func (s *Store) Scan(ctx context.Context, req diamond.ScanRequest) (diamond.Page, error) {
	limit := max(req.Limit, 1)
	where, args := scanned(&req)
	statement := `SELECT k.store, k.generation, k.epoch, k.revision, k.chain,
		e.namespace, e.grp, e.data_id, e.revision, e.type, e.md5, e.size, e.meta, e.time_us`
	if req.Contents {
		statement += ", c.sha256, c.content"
	}
	statement += " FROM diamond_counter k LEFT JOIN diamond_entry e ON e.op = 1" + where
	if req.Contents {
		statement += " LEFT JOIN diamond_change c ON c.revision = e.revision AND c.number = e.number"
	}
	statement += " WHERE k.id = 1 ORDER BY e.namespace, e.grp, e.data_id LIMIT ?"
	var page diamond.Page
	err := s.query(ctx, statement, append(args, int64(limit)+1), func(rows *sql.Rows) error {
		var r entryRow
		if err := rows.Scan(r.fields(req.Contents)...); err != nil {
			return err
		}
		if page.Position.IsZero() {
			if err := r.position(&page.Position); err != nil {
				return err
			}
		}
		if !r.revision.Valid {
			return nil // there is no entry beside the counter
		}
		if len(page.Entries) == limit {
			page.More = true
			return nil
		}
		e, err := r.entry(req.Contents)
		page.Entries = append(page.Entries, e)
		return err
	})
	if err == nil && page.Position.IsZero() {
		err = diamond.Errorf(diamond.ErrCorrupt, "the row of diamond_counter is missing")
	}
	if err != nil {
		return diamond.Page{}, err
	}
	return page, nil
}

// scanned returns the conditions for the entries of a page, each after an AND.
func scanned(req *diamond.ScanRequest) (string, []any) {
	var b strings.Builder
	var args []any
	and := func(condition string, values ...string) {
		b.WriteString(" AND " + condition)
		for _, v := range values {
			args = append(args, []byte(v))
		}
	}
	if req.Namespace != "" {
		and("e.namespace = ?", req.Namespace)
	}
	if req.Group != "" {
		and("e.grp = ?", req.Group)
	}
	if req.Prefix != "" {
		and("e.data_id >= ?", req.Prefix)
		and("e.data_id < ?", req.Prefix+"\xff") // no key has such a byte
	}
	if a := req.After; a != (diamond.Key{}) {
		and("e.namespace >= ?", a.Namespace)
		and(`(e.namespace > ? OR e.namespace = ? AND e.grp > ? OR e.namespace = ? AND e.grp = ? AND e.data_id > ?)`,
			a.Namespace, a.Namespace, a.Group, a.Namespace, a.Group, a.DataID)
	}
	return b.String(), args
}

// entryRow is where a row of a page is scanned to, beside the counter's.
type entryRow struct {
	store, epoch, chain            sql.RawBytes
	generation, head               int64
	revision, size, time           sql.NullInt64
	namespace, group, dataID       sql.RawBytes
	kind, md5, meta, hash, content sql.RawBytes
}

func (r *entryRow) fields(contents bool) []any {
	f := []any{
		&r.store, &r.generation, &r.epoch, &r.head, &r.chain,
		&r.namespace, &r.group, &r.dataID, &r.revision, &r.kind, &r.md5, &r.size, &r.meta, &r.time,
	}
	if contents {
		f = append(f, &r.hash, &r.content)
	}
	return f
}

func (r *entryRow) position(p *diamond.Position) error {
	p.Epoch.Generation, p.Revision = r.generation, r.head
	for _, f := range []struct{ dst, src []byte }{{p.Store[:], r.store}, {p.Epoch.ID[:], r.epoch}, {p.Chain[:], r.chain}} {
		if err := fixed(f.dst, f.src); err != nil {
			return err
		}
	}
	return nil
}

func (r *entryRow) entry(contents bool) (diamond.Entry, error) {
	e := diamond.Entry{
		Key:  diamond.Key{Namespace: string(r.namespace), Group: string(r.group), DataID: string(r.dataID)},
		Type: string(r.kind), MD5: string(r.md5), Size: r.size.Int64,
		Revision: r.revision.Int64, View: r.revision.Int64, Modified: time.UnixMicro(r.time.Int64).UTC(),
	}
	var err error
	if e.Meta, err = decodeMeta(r.meta); err != nil {
		return e, keyError(e.Key, diamond.ErrCorrupt, "its row is damaged")
	}
	if contents {
		e.Content = string(r.content)
		if sum := sha256.Sum256(r.content); string(sum[:]) != string(r.hash) {
			return e, keyError(e.Key, diamond.ErrCorrupt, "the content of revision %d is not the one that was published", e.Revision)
		}
	}
	return e, nil
}

// columnsOf returns a list of columns as those of a table's alias.
func columnsOf(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}
