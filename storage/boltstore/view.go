package boltstore

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	diamond "github.com/linnaname/gdiamond"
)

// view is the store as one transaction sees it.
type view struct {
	tx *bolt.Tx
	header
	log      *bolt.Bucket // pointer -> record
	current  *bolt.Bucket // key -> current
	requests *bolt.Bucket // request id -> request
}

func newView(tx *bolt.Tx) (*view, error) {
	meta := tx.Bucket([]byte(metaBucket))
	if meta == nil {
		return nil, diamond.Errorf(diamond.ErrCorrupt, "the file is no store of this program's")
	}
	h, err := decodeHeader(meta.Get(headerKey()))
	if err != nil {
		return nil, err
	}
	v := &view{tx: tx, header: h}
	v.log, v.current, v.requests = tx.Bucket(h.logName()), tx.Bucket(h.currentName()), tx.Bucket(h.requestsName())
	if v.log == nil || v.current == nil || v.requests == nil {
		return nil, diamond.Errorf(diamond.ErrCorrupt, "a part of the store is missing")
	}
	return v, nil
}

// head returns the position after the last change, and how many changes the
// log has had up to it.
func (v *view) head() (diamond.Position, int64, error) {
	k, row := v.log.Cursor().Last()
	if k == nil {
		return v.anchor(), v.sequence, nil
	}
	r, err := decodeRecord(k, row)
	if err != nil {
		return diamond.Position{}, 0, err
	}
	if r.at.installed || r.at.revision <= v.horizon {
		return v.anchor(), v.sequence, nil
	}
	return v.position(r.at.revision, r.chain), r.sequence, nil
}

// at returns the position as a replica has it: zero when it holds nothing.
func (v *view) at() (diamond.Position, error) {
	if v.origin == fresh {
		return diamond.Position{}, nil
	}
	at, _, err := v.head()
	return at, err
}

// row returns the row of k in the current view, nil if there is none.
func (v *view) row(k diamond.Key) (*current, error) {
	key := keyBytes(k)
	row := v.current.Get(key)
	if row == nil {
		return nil, nil
	}
	return decodeCurrent(k, key, row)
}

// record returns the one at p, nil if it is gone.
func (v *view) record(p pointer) (*record, error) {
	if p == (pointer{}) {
		return nil, nil
	}
	key := p.bytes()
	row := v.log.Get(key)
	if row == nil {
		return nil, nil
	}
	return decodeRecord(key, row)
}

// newest returns the record that c points to, which must be there.
func (v *view) newest(c *current) (*record, error) {
	r, err := v.record(c.at)
	if err == nil && r == nil {
		err = diamond.Errorf(diamond.ErrCorrupt, "the record of %v at revision %d is missing", c.entry.Key, c.at.revision)
	}
	return r, err
}

// version returns the record of k at exactly revision, nil if there is none.
func (v *view) version(k diamond.Key, revision int64) (*record, error) {
	for _, installed := range []bool{false, true} {
		first := pointer{installed: installed, revision: revision}.bytes()
		c := v.log.Cursor()
		for key, row := c.Seek(first); key != nil && binary.BigEndian.Uint64(key) == binary.BigEndian.Uint64(first); key, row = c.Next() {
			r, err := decodeRecord(key, row)
			if err != nil {
				return nil, err
			}
			if r.change.Key == k {
				return r, nil
			}
		}
	}
	return nil, nil
}

// add appends a set to the log and brings the current view up to it. sequence
// is the log's before it.
func (v *view) add(changes []diamond.Change, after diamond.Position, sequence int64) error {
	// The log grows at its end only: full pages, where bbolt would leave room.
	v.log.FillPercent = 1
	for i := range changes {
		r := &record{
			at:    pointer{revision: changes[i].Revision, number: uint32(changes[i].Number)},
			chain: after.Chain, sequence: sequence + int64(i) + 1, change: changes[i],
		}
		var err error
		if r.change.Op != diamond.OpFork {
			err = v.supersede(r)
		}
		if err == nil {
			err = v.log.Put(r.at.bytes(), r.encode())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// supersede links r, which is about to be stored, into the versions of its key:
// before the newest one, but for what an installation brought ahead of r.
func (v *view) supersede(r *record) error {
	key := keyBytes(r.change.Key)
	row := v.current.Get(key)
	if row == nil {
		r.ordinal = 1
		return v.current.Put(key, currentOf(r).encode(key))
	}
	c, err := decodeCurrent(r.change.Key, key, row)
	if err != nil {
		return err
	}
	if c.at.installed && c.at.revision >= r.at.revision {
		return v.slipBehind(r, c, key)
	}
	r.prev, r.ordinal = c.at, c.ordinal+1
	return v.current.Put(key, currentOf(r).encode(key))
}

// slipBehind links r into the versions of a key whose newest one, brought by an
// installation, is as new as r or newer.
func (v *view) slipBehind(r *record, c *current, key []byte) error {
	newer, err := v.newest(c)
	if err != nil {
		return err
	}
	r.prev, r.ordinal = newer.prev, newer.ordinal
	if newer.at.revision == r.at.revision { // the same version: r knows more of it
		if err := v.log.Delete(newer.at.bytes()); err != nil {
			return err
		}
		return v.current.Put(key, currentOf(r).encode(key))
	}
	if newer.change, err = newer.full(); err != nil {
		return err
	}
	newer.prev, newer.ordinal = r.at, newer.ordinal+1
	if err := v.log.Put(newer.at.bytes(), newer.encode()); err != nil {
		return err
	}
	return v.current.Put(key, currentOf(newer).encode(key))
}
