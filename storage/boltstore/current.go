package boltstore

import (
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// current is a key's row in the current view. It has the place of the newest version and
// the entry for lists, so that scans need not read the log. A deleted key keeps its row
// until its tombstone is pruned.
type current struct {
	at      pointer
	ordinal int64 // of the newest version
	op      conf.Op
	entry   conf.Entry // without content; with OpPublish only
}

func (c *current) encode(key []byte) []byte {
	e := make(encoder, 0, 64+len(c.entry.Type))
	e.byte(format)
	e.byte(byte(c.op))
	e.position(c.at)
	e.number(c.ordinal)
	if c.op == conf.OpPublish {
		e.signed(c.entry.Modified.UnixMicro())
		e.string(c.entry.Type)
		e.md5(c.entry.MD5)
		e.number(c.entry.Size)
		e.strings(c.entry.Meta)
	}
	e.sum(key)
	return e
}

// decodeCurrent reads the row of k, whose row key is key.
func decodeCurrent(k conf.Key, key, row []byte) (*current, error) {
	c := &current{}
	d := decode(row)
	c.op, c.at, c.ordinal = conf.Op(d.byte()), d.position(), d.number()
	switch c.op {
	case conf.OpPublish:
		e := &c.entry
		e.Key, e.Revision, e.View = k, c.at.revision, c.at.revision
		e.Modified = time.UnixMicro(d.signed()).UTC()
		e.Type, e.MD5, e.Size, e.Meta = d.string(), d.md5(), d.number(), d.strings()
	case conf.OpDelete:
	default:
		d.failed = true
	}
	d.sum(key)
	if !d.end() {
		return nil, conf.Errorf(conf.ErrCorrupt, "the current row of %v is damaged", k)
	}
	return c, nil
}

// revision returns the revision of the current entry, or 0 if there is none. c may be
// nil.
func (c *current) revision() int64 {
	if c == nil || c.op != conf.OpPublish {
		return 0
	}
	return c.at.revision
}

// known returns the part of the current entry that [storage.Plan] needs. c may be nil.
func (c *current) known() storage.Current {
	if c.revision() == 0 {
		return storage.Current{}
	}
	return storage.Current{Revision: c.at.revision, Type: c.entry.Type, Meta: c.entry.Meta}
}

// currentOf returns the row that makes r the newest version of its key.
func currentOf(r *record) *current {
	c := &current{at: r.at, ordinal: r.ordinal, op: r.change.Op}
	if c.op == conf.OpPublish {
		c.entry = r.change.Entry()
	}
	return c
}
