package mysqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

const headColumns = "k.store, k.generation, k.epoch, k.revision, k.chain"

// Scan implements [diamond.Storage].
func (s *Store) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	for {
		page, err := s.page(ctx, &req)
		if err != nil || len(page.Entries) > 0 {
			return page, err
		}
		// Without an entry there is no row. That there is no entry must be read at the
		// same moment as the position.
		at, empty, err := s.nothing(ctx, &req)
		if err != nil || empty {
			return conf.Page{Position: at}, err
		}
	}
}

// page reads a page with entries. Each row also has the head.
func (s *Store) page(ctx context.Context, req *conf.ScanRequest) (page conf.Page, err error) {
	limit := max(req.Limit, 1)
	where, args := scanned(req)
	content, join := "", ""
	if req.Contents {
		content, join = ", c.sha256, c.content", " LEFT JOIN diamond_change c ON c.revision = e.revision AND c.number = e.number"
	}
	err = s.query(ctx, "SELECT "+headColumns+", "+columnsOf("e", entryColumns)+content+
		" FROM diamond_counter k STRAIGHT_JOIN diamond_entry e"+join+
		" WHERE k.id = 1 AND "+where+" ORDER BY e.namespace, e.grp, e.data_id LIMIT ?",
		append(args, int64(limit)+1), func(rows *sql.Rows) error {
			var head headRow
			var row entryRow
			if err := rows.Scan(append(head.fields(), row.fields(req.Contents)...)...); err != nil {
				return err
			}
			if len(page.Entries) == limit {
				page.More = true
				return nil
			}
			e, err := row.entry(req.Contents)
			if err == nil && len(page.Entries) == 0 {
				page.Position, err = head.position()
			}
			page.Entries = append(page.Entries, e)
			return err
		})
	if err != nil {
		return conf.Page{}, err
	}
	return page, nil
}

// nothing returns the head, and reports whether there is no entry for a page at that head.
func (s *Store) nothing(ctx context.Context, req *conf.ScanRequest) (at conf.Position, empty bool, err error) {
	where, args := scanned(req)
	found := false
	err = s.query(ctx, "SELECT "+headColumns+", NOT EXISTS (SELECT 1 FROM diamond_entry e WHERE "+where+") FROM diamond_counter k WHERE k.id = 1",
		args, func(rows *sql.Rows) (err error) {
			var head headRow
			found = true
			if err = rows.Scan(append(head.fields(), &empty)...); err == nil {
				at, err = head.position()
			}
			return err
		})
	if err == nil && !found {
		err = noCounter()
	}
	return at, empty, err
}

// scanned returns the condition for the entries of a page and the following pages.
func scanned(req *conf.ScanRequest) (string, []any) {
	var b strings.Builder
	b.WriteString("e.op = 1")
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
	if a := req.After; a != (conf.Key{}) {
		and("e.namespace >= ?", a.Namespace)
		and(`(e.namespace > ? OR e.namespace = ? AND e.grp > ? OR e.namespace = ? AND e.grp = ? AND e.data_id > ?)`,
			a.Namespace, a.Namespace, a.Group, a.Namespace, a.Group, a.DataID)
	}
	return b.String(), args
}

// headRow is the target for scanning [headColumns]. It is valid until the next row is
// scanned.
type headRow struct {
	store, epoch, chain  sql.RawBytes
	generation, revision int64
}

func (r *headRow) fields() []any {
	return []any{&r.store, &r.generation, &r.epoch, &r.revision, &r.chain}
}

func (r *headRow) position() (p conf.Position, err error) {
	p.Epoch.Generation, p.Revision = r.generation, r.revision
	err = storeID(&p.Store, r.store)
	for _, f := range []struct{ dst, src []byte }{{p.Epoch.ID[:], r.epoch}, {p.Chain[:], r.chain}} {
		if err == nil {
			err = fixed(f.dst, f.src)
		}
	}
	return p, err
}

const entryColumns = "namespace, grp, data_id, revision, type, md5, size, meta, time_us"

// entryRow is the target for scanning a row of [entryColumns], and the hash and content of
// the version if requested. It is valid until the next row is scanned.
type entryRow struct {
	revision, size, time           int64
	namespace, group, dataID       sql.RawBytes
	kind, md5, meta, hash, content sql.RawBytes
}

func (r *entryRow) fields(contents bool) []any {
	f := []any{&r.namespace, &r.group, &r.dataID, &r.revision, &r.kind, &r.md5, &r.size, &r.meta, &r.time}
	if contents {
		f = append(f, &r.hash, &r.content)
	}
	return f
}

func (r *entryRow) entry(contents bool) (conf.Entry, error) {
	e := conf.Entry{
		Key:  conf.Key{Namespace: string(r.namespace), Group: string(r.group), DataID: string(r.dataID)},
		Type: string(r.kind), MD5: string(r.md5), Size: r.size,
		Revision: r.revision, View: r.revision, Modified: time.UnixMicro(r.time).UTC(),
	}
	var err error
	if e.Meta, err = decodeMeta(r.meta); err != nil {
		return e, storage.KeyError(e.Key, conf.ErrCorrupt, "its row is damaged")
	}
	if contents {
		e.Content = string(r.content)
		if sum := sha256.Sum256(r.content); string(sum[:]) != string(r.hash) {
			return e, storage.KeyError(e.Key, conf.ErrCorrupt, "the content of revision %d is not the one that was published", e.Revision)
		}
	}
	return e, nil
}

// columnsOf qualifies a list of columns with a table's alias.
func columnsOf(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}
