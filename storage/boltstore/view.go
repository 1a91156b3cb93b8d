package boltstore

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// view is the store in one transaction.
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
		return nil, conf.Errorf(conf.ErrCorrupt, "the file is not a store of this program")
	}
	h, err := decodeHeader(meta.Get(headerKey()))
	if err != nil {
		return nil, err
	}
	v := &view{tx: tx, header: h}
	v.log, v.current, v.requests = tx.Bucket(h.logName()), tx.Bucket(h.currentName()), tx.Bucket(h.requestsName())
	if v.log == nil || v.current == nil || v.requests == nil {
		return nil, conf.Errorf(conf.ErrCorrupt, "a part of the store is missing")
	}
	return v, nil
}

// head returns the position after the last change, and the number of all changes that the
// log has had.
func (v *view) head() (conf.Position, int64, error) {
	k, row := v.log.Cursor().Last()
	if k == nil {
		return v.anchor(), v.sequence, nil
	}
	r, err := decodeRecord(k, row)
	if err != nil {
		return conf.Position{}, 0, err
	}
	if r.at.installed || r.at.revision <= v.horizon {
		return v.anchor(), v.sequence, nil
	}
	return v.position(r.at.revision, r.chain), r.sequence, nil
}

// at returns the position of a replica, which is zero if the store is empty.
func (v *view) at() (conf.Position, error) {
	if v.origin == fresh {
		return conf.Position{}, nil
	}
	at, _, err := v.head()
	return at, err
}

// row returns the row of k in the current view, or nil if there is none.
func (v *view) row(k conf.Key) (*current, error) {
	key := keyBytes(k)
	row := v.current.Get(key)
	if row == nil {
		return nil, nil
	}
	return decodeCurrent(k, key, row)
}

// record returns the record at p, or nil if it was removed.
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

// newest returns the record that c points to, which must exist.
func (v *view) newest(c *current) (*record, error) {
	r, err := v.record(c.at)
	if err == nil && r == nil {
		err = conf.Errorf(conf.ErrCorrupt, "the record of %v at revision %d is missing", c.entry.Key, c.at.revision)
	}
	return r, err
}

// version returns the record of k at exactly revision, or nil if there is none.
func (v *view) version(k conf.Key, revision int64) (*record, error) {
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

// add appends a set to the log and updates the current view. sequence is the number of
// changes before the set.
func (v *view) add(changes []conf.Change, after conf.Position, sequence int64) error {
	if err := v.mark(changes); err != nil {
		return err
	}
	// The log grows only at its end, so its pages need no free space.
	v.log.FillPercent = 1
	for i := range changes {
		r := &record{
			at:    pointer{revision: changes[i].Revision, number: uint32(changes[i].Number)},
			chain: after.Chain, sequence: sequence + int64(i) + 1, change: changes[i],
		}
		var err error
		if r.change.Op != conf.OpFork {
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

// mark marks the store, unless it is marked, if programs of before must not open it with
// changes.
func (v *view) mark(changes []conf.Change) error {
	if v.marked {
		return nil
	}
	for i := range changes {
		if storage.Marks(&changes[i]) {
			v.marked = true
			return v.save(v.tx)
		}
	}
	return nil
}

// supersede links r, which is about to be stored, into the versions of its key. r becomes
// the newest version, unless an installation has added a newer one.
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

// slipBehind links r into the versions of a key whose newest version is from an
// installation and is as new as r or newer.
func (v *view) slipBehind(r *record, c *current, key []byte) error {
	newer, err := v.newest(c)
	if err != nil {
		return err
	}
	r.prev, r.ordinal = newer.prev, newer.ordinal
	if newer.at.revision == r.at.revision { // the same version, of which r has more information
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
