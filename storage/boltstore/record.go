package boltstore

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// pointer is the place of a record in the log bucket. Records from Install sort before the
// log proper, so the last row is always the last change of the log.
type pointer struct {
	installed bool
	revision  int64
	number    uint32 // of the change in its set or, if installed, of the entry in its installation
}

const pointerSize = 12

// bytes returns the row key of p.
func (p pointer) bytes() []byte {
	b := make([]byte, pointerSize)
	n := uint64(p.revision)
	if !p.installed {
		n |= 1 << 63
	}
	binary.BigEndian.PutUint64(b, n)
	binary.BigEndian.PutUint32(b[8:], p.number)
	return b
}

func parsePointer(b []byte) (pointer, bool) {
	if len(b) != pointerSize {
		return pointer{}, false
	}
	n := binary.BigEndian.Uint64(b)
	return pointer{n>>63 == 0, int64(n &^ (1 << 63)), binary.BigEndian.Uint32(b[8:])}, true
}

// record is one change in the log bucket. Only the record has the content.
type record struct {
	at       pointer
	chain    conf.Chain // after the record's set
	sequence int64      // number of changes of the log up to this one; 0 if installed
	ordinal  int64      // number of this version of its key, from 1; 0 for a fork
	prev     pointer    // previous version, which may be removed; zero if there was none
	change   conf.Change
	content  []byte // of change; points into the database file, valid during the transaction
}

func (r *record) encode() []byte {
	c := &r.change
	e := make(encoder, 0, 256+len(c.Comment)+len(c.Content))
	e.byte(formatOf(c.Origin != ""))
	e.byte(byte(c.Op))
	e.raw(r.chain[:])
	e.number(r.sequence)
	e.number(r.ordinal)
	e.position(r.prev)
	e.number(int64(c.Count))
	e.signed(c.Time.UnixMicro())
	e.string(c.Author.Name)
	e.string(c.Address)
	e.string(c.Comment)
	if c.Origin != "" {
		e.string(c.Origin)
	}
	switch c.Op {
	case conf.OpPublish:
		e.key(c.Key)
		e.string(c.Type)
		e.md5(c.MD5)
		e.raw(c.SHA256[:])
		e.number(c.Size)
		e.strings(c.Meta)
	case conf.OpDelete:
		e.key(c.Key)
	case conf.OpFork:
		e.number(c.Epoch.Generation)
		e.raw(c.Epoch.ID[:])
	}
	e.sum(r.at.bytes())
	e.raw([]byte(c.Content))
	return e
}

// decodeRecord reads a row of the log bucket without its content, which [record.full]
// adds.
func decodeRecord(key, row []byte) (*record, error) {
	at, ok := parsePointer(key)
	if !ok {
		return nil, conf.Errorf(conf.ErrCorrupt, "a key in the log has %d bytes", len(key))
	}
	r := &record{at: at}
	c := &r.change
	c.Revision, c.Number = at.revision, int(at.number)
	d, have := decodeMarked(row)
	c.Op = conf.Op(d.byte())
	copy(r.chain[:], d.raw(len(r.chain)))
	r.sequence, r.ordinal, r.prev = d.number(), d.number(), d.position()
	c.Count = int(d.number())
	c.Time = time.UnixMicro(d.signed()).UTC()
	c.Author.Name, c.Address, c.Comment = d.string(), d.string(), d.string()
	if have == marked {
		if c.Origin = d.string(); c.Origin == "" {
			d.failed = true
		}
	}
	switch c.Op {
	case conf.OpPublish:
		c.Key, c.Type, c.MD5 = d.key(), d.string(), d.md5()
		copy(c.SHA256[:], d.raw(len(c.SHA256)))
		c.Size, c.Meta = d.number(), d.strings()
	case conf.OpDelete:
		c.Key = d.key()
	case conf.OpFork:
		c.Epoch.Generation = d.number()
		copy(c.Epoch.ID[:], d.raw(len(c.Epoch.ID)))
	default:
		d.failed = true
	}
	d.sum(key)
	if d.failed || int64(len(d.rest)) != c.Size {
		return nil, conf.Errorf(conf.ErrCorrupt, "the record of change %d of revision %d is damaged", at.number, at.revision)
	}
	if at.installed {
		c.Number = 0 // unknown
	}
	r.content = d.rest
	return r, nil
}

// full returns the change with its content, and verifies the content's hash.
func (r *record) full() (conf.Change, error) {
	c := r.change
	if c.Op == conf.OpPublish && sha256.Sum256(r.content) != c.SHA256 {
		return c, conf.Errorf(conf.ErrCorrupt, "content of %v at revision %d does not have its hash", c.Key, c.Revision)
	}
	c.Content = string(r.content)
	return c, nil
}
