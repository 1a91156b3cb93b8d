package mysqlstore

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/rawbytes"
	"github.com/linnaname/gdiamond/storage"
)

// version is a row of diamond_change.
type version struct {
	change    conf.Change
	installed int64      // below 0 if the row is not in the log but from an installation
	epoch     conf.Epoch // at the revision
	chain     conf.Chain // after the set
	ordinal   int64      // number of this version of its key, from 1; 0 for a fork
	after     mark       // changes and bytes of the log after the set
}

// number returns the value of the column number.
func (v *version) number() int64 {
	if v.installed < 0 {
		return v.installed
	}
	return int64(v.change.Number)
}

// compare orders versions by their place in the log.
func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.change.Revision, o.change.Revision), cmp.Compare(v.change.Number, o.change.Number))
}

const changeColumns = "revision, number, set_size, op, namespace, grp, data_id, type, md5, sha256, size, meta, " +
	"author, address, comment, origin, time_us, generation, epoch, chain"

func changeTable() table {
	return table{"INSERT", "diamond_change", changeColumns + ", ordinal, log_changes, log_bytes, content"}
}

// values returns the row for [changeTable].
func (v *version) values() []any {
	c := &v.change
	return []any{
		c.Revision, v.number(), int64(c.Count), int64(c.Op),
		rawbytes.Of(c.Key.Namespace), rawbytes.Of(c.Key.Group), rawbytes.Of(c.Key.DataID),
		rawbytes.Of(c.Type), rawbytes.Of(c.MD5), c.SHA256[:], c.Size, encodeMeta(c.Meta),
		rawbytes.Of(c.Author.Name), rawbytes.Of(c.Address), rawbytes.Of(c.Comment), rawbytes.Of(c.Origin), c.Time.UnixMicro(),
		v.epoch.Generation, v.epoch.ID[:], v.chain[:],
		v.ordinal, v.after.changes, v.after.bytes, rawbytes.Of(c.Content),
	}
}

// changeRow is the target for scanning a row of [changeColumns], and the content if
// requested. It is valid until the next row is scanned. In an outer join all of it may be
// NULL.
type changeRow struct {
	revision, number, count, op, size, time, generation sql.NullInt64
	namespace, group, dataID                            sql.RawBytes
	kind, md5, sha256, meta, author, address, comment   sql.RawBytes
	origin, epoch, chain, content                       sql.RawBytes
}

func (r *changeRow) fields(content bool) []any {
	f := []any{
		&r.revision, &r.number, &r.count, &r.op, &r.namespace, &r.group, &r.dataID,
		&r.kind, &r.md5, &r.sha256, &r.size, &r.meta, &r.author, &r.address, &r.comment, &r.origin, &r.time,
		&r.generation, &r.epoch, &r.chain,
	}
	if content {
		f = append(f, &r.content)
	}
	return f
}

// there reports whether there was a row.
func (r *changeRow) there() bool { return r.revision.Valid }

// version returns the version in the row. With content set, it verifies the content's
// hash.
func (r *changeRow) version(content bool) (version, error) {
	v := version{change: conf.Change{
		Revision: r.revision.Int64, Number: int(r.number.Int64), Count: int(r.count.Int64), Op: conf.Op(r.op.Int64),
		Key:  conf.Key{Namespace: string(r.namespace), Group: string(r.group), DataID: string(r.dataID)},
		Type: string(r.kind), MD5: string(r.md5), Size: r.size.Int64,
		Author: conf.Principal{Name: string(r.author)}, Address: string(r.address), Comment: string(r.comment), Origin: string(r.origin),
		Time: time.UnixMicro(r.time.Int64).UTC(), Content: string(r.content),
	}}
	c := &v.change
	if r.number.Int64 < 0 {
		v.installed, c.Number = r.number.Int64, 0 // its real number is unknown
	}
	v.epoch.Generation = r.generation.Int64
	var err error
	for _, f := range []struct{ dst, src []byte }{{c.SHA256[:], r.sha256}, {v.epoch.ID[:], r.epoch}, {v.chain[:], r.chain}} {
		if err == nil {
			err = fixed(f.dst, f.src)
		}
	}
	if err == nil {
		c.Meta, err = decodeMeta(r.meta)
	}
	if err != nil {
		return v, damaged(c, "damaged")
	}
	if c.Op == conf.OpFork {
		c.Epoch = v.epoch
	}
	if content && c.Op == conf.OpPublish && (int64(len(c.Content)) != c.Size || sha256.Sum256(r.content) != c.SHA256) {
		return v, damaged(c, "not of the content that was published")
	}
	return v, nil
}

func damaged(c *conf.Change, how string) error {
	return storage.KeyError(c.Key, conf.ErrCorrupt, "the row of revision %d is %s", c.Revision, how)
}

func encodeMeta(meta map[string]string) []byte {
	if len(meta) == 0 {
		return []byte{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // escaping would make values up to six times as long
	_ = e.Encode(meta)     // a map of strings cannot fail
	return bytes.TrimRight(b.Bytes(), "\n")
}

func decodeMeta(b []byte) (map[string]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var meta map[string]string
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, err
	}
	return meta, nil
}

// fits returns an error if a change exceeds the limits of the columns. A database in
// non-strict mode would truncate the value.
func (l *limits) fits(c *conf.Change) error {
	if int64(len(c.Content)) > l.content {
		e := conf.Errorf(conf.ErrTooLarge, "content: %d bytes; the database's max_allowed_packet permits %d", len(c.Content), l.content)
		e.Key = c.Key
		return e
	}
	for _, f := range []struct {
		name  string
		have  int
		limit int
	}{
		{"namespace", len(c.Key.Namespace), conf.MaxNamespace},
		{"group", len(c.Key.Group), conf.MaxGroup},
		{"dataId", len(c.Key.DataID), conf.MaxDataID},
		{"type", len(c.Type), 32},
		{"md5", len(c.MD5), 32},
		{"meta", len(encodeMeta(c.Meta)), 24 << 10},
		{"author", len(c.Author.Name), 4 << 10},
		{"address", len(c.Address), 4 << 10},
		{"comment", len(c.Comment), 4 << 10},
		{"origin", len(c.Origin), 32},
	} {
		if f.have > f.limit {
			return storage.KeyError(c.Key, conf.ErrInvalid, "%s: %d bytes, more than %d", f.name, f.have, f.limit)
		}
	}
	return nil
}
