package mysqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/rawbytes"
	"github.com/linnaname/gdiamond/storage"
)

// keysPerStatement is the largest number of keys in one statement; see [rowsPerStatement].
const keysPerStatement = 64

// current has the part of a row of diamond_entry that transactions need: the newest version
// of a key, which may be a deletion. It is nil for a key without a row.
type current struct {
	revision, number int64 // of the version's row
	op               conf.Op
	ordinal          int64
	kind             string
	meta             map[string]string
}

// known returns the part of the current entry that [storage.Plan] needs.
func (c *current) known() storage.Current {
	if c == nil || c.op != conf.OpPublish {
		return storage.Current{}
	}
	return storage.Current{Revision: c.revision, Type: c.kind, Meta: c.meta}
}

// installed reports whether the version is from an installation.
func (c *current) installed() bool { return c.number < 0 }

func entryTable(verb string) table {
	return table{verb, "diamond_entry", "namespace, grp, data_id, revision, number, op, ordinal, type, md5, size, meta, time_us"}
}

// entryValues returns the row of v's key when v is its newest version.
func (v *version) entryValues() []any {
	c := &v.change
	return []any{
		rawbytes.Of(c.Key.Namespace), rawbytes.Of(c.Key.Group), rawbytes.Of(c.Key.DataID),
		c.Revision, v.number(), int64(c.Op), v.ordinal,
		rawbytes.Of(c.Type), rawbytes.Of(c.MD5), c.Size, encodeMeta(c.Meta), c.Time.UnixMicro(),
	}
}

const currentColumns = "namespace, grp, data_id, revision, number, op, ordinal, type, meta"

// currentRow is the target for scanning [currentColumns]. In an outer join all of it may be
// NULL.
type currentRow struct {
	namespace, group, dataID, kind, meta sql.RawBytes
	revision, number, op, ordinal        sql.NullInt64
}

func (r *currentRow) fields() []any {
	return []any{&r.namespace, &r.group, &r.dataID, &r.revision, &r.number, &r.op, &r.ordinal, &r.kind, &r.meta}
}

func (r *currentRow) addTo(found map[conf.Key]*current) error {
	if !r.revision.Valid {
		return nil
	}
	key := conf.Key{Namespace: string(r.namespace), Group: string(r.group), DataID: string(r.dataID)}
	meta, err := decodeMeta(r.meta)
	if err != nil {
		return storage.KeyError(key, conf.ErrCorrupt, "its row is damaged")
	}
	found[key] = &current{r.revision.Int64, r.number.Int64, conf.Op(r.op.Int64), r.ordinal.Int64, string(r.kind), meta}
	return nil
}

// currents adds the rows of keys to t.found.
func (t *transaction) currents(ctx context.Context, keys []conf.Key) error {
	var row currentRow
	fields := row.fields()
	for some := range slices.Chunk(keys, keysPerStatement) {
		where, args := whereKeys(some)
		err := t.query(ctx, "SELECT "+currentColumns+" FROM diamond_entry WHERE "+where, args, func(rows *sql.Rows) error {
			if err := rows.Scan(fields...); err != nil {
				return err
			}
			return row.addTo(t.found)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const isKey = "(namespace = ? AND grp = ? AND data_id = ?)"

// whereKeys returns a condition for rows of any of keys.
func whereKeys(keys []conf.Key) (string, []any) { return whereKeysOf("", keys) }

// whereKeysOf is whereKeys for the columns of a table's alias. The alias ends in a dot.
func whereKeysOf(alias string, keys []conf.Key) (string, []any) {
	args := make([]any, 0, 3*len(keys))
	for _, k := range keys {
		args = append(args, keyArgs(k)...)
	}
	return fmt.Sprintf("(%[1]snamespace, %[1]sgrp, %[1]sdata_id) IN (", alias) + strings.Repeat("(?,?,?),", len(keys)-1) + "(?,?,?))", args
}

// keyArgs returns the arguments of [isKey].
func keyArgs(k conf.Key) []any {
	return []any{rawbytes.Of(k.Namespace), rawbytes.Of(k.Group), rawbytes.Of(k.DataID)}
}
