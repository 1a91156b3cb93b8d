package mysqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// keysPerStatement is how many keys one statement asks for at most; see [rowsPerStatement].
const keysPerStatement = 64

// current is a row of diamond_entry, as far as transactions need it: the newest
// version of a key, which may be a deletion. A nil current is a key that has none.
type current struct {
	revision, number int64 // of the version's row
	op               diamond.Op
	ordinal          int64
}

// live returns the revision of the current entry, 0 where there is none.
func (c *current) live() int64 {
	if c == nil || c.op != diamond.OpPublish {
		return 0
	}
	return c.revision
}

// installed reports whether the version came with an installation.
func (c *current) installed() bool { return c.number < 0 }

func entryTable(verb string) table {
	return table{verb, "diamond_entry", "namespace, grp, data_id, revision, number, op, ordinal, type, md5, size, meta, time_us"}
}

// entryValues returns what the row of v's key is to hold once v is its newest.
func (v *version) entryValues() []any {
	c := &v.change
	return []any{
		[]byte(c.Key.Namespace), []byte(c.Key.Group), []byte(c.Key.DataID),
		c.Revision, v.number(), int64(c.Op), v.ordinal,
		[]byte(c.Type), []byte(c.MD5), c.Size, encodeMeta(c.Meta), c.Time.UnixMicro(),
	}
}

// currents reads the rows of keys, which may be there more than once.
func (t *transaction) currents(ctx context.Context, keys []diamond.Key) (map[diamond.Key]*current, error) {
	slices.SortFunc(keys, diamond.Key.Compare)
	keys = slices.Compact(keys)
	found := make(map[diamond.Key]*current, len(keys))
	for some := range slices.Chunk(keys, keysPerStatement) {
		where, args := whereKeys(some)
		err := t.query(ctx, "SELECT namespace, grp, data_id, revision, number, op, ordinal FROM diamond_entry WHERE "+where, args,
			func(rows *sql.Rows) error {
				var k diamond.Key
				c := new(current)
				if err := rows.Scan(&k.Namespace, &k.Group, &k.DataID, &c.revision, &c.number, &c.op, &c.ordinal); err != nil {
					return err
				}
				found[k] = c
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

const isKey = "(namespace = ? AND grp = ? AND data_id = ?)"

// whereKeys returns a condition for rows of any of keys.
func whereKeys(keys []diamond.Key) (string, []any) { return whereKeysOf("", keys) }

// whereKeysOf is whereKeys for the columns of a table's alias, which ends in a dot.
func whereKeysOf(alias string, keys []diamond.Key) (string, []any) {
	args := make([]any, 0, 3*len(keys))
	for _, k := range keys {
		args = append(args, keyArgs(k)...)
	}
	return fmt.Sprintf("(%[1]snamespace, %[1]sgrp, %[1]sdata_id) IN (", alias) + strings.Repeat("(?,?,?),", len(keys)-1) + "(?,?,?))", args
}

// keyArgs returns the arguments of [isKey].
func keyArgs(k diamond.Key) []any {
	return []any{[]byte(k.Namespace), []byte(k.Group), []byte(k.DataID)}
}
