package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
)

// header describes the store, in one row. It changes at the first commit, at forks and
// installations, and when history is pruned, but not at other commits.
type header struct {
	marked     bool // programs of before format 2 must refuse the store
	store      conf.StoreID
	origin     origin
	generation int64      // of the buckets; an installation builds new ones next to the old
	horizon    int64      // the revision after which the log begins
	chain      conf.Chain // at horizon
	sequence   int64      // number of all changes of the log up to horizon
	ahead      int64      // the highest revision from an installation
	epochs     []epochStart
}

// epochStart is the epoch of the store from a revision on.
type epochStart struct {
	from  int64
	epoch conf.Epoch
}

// origin is the source of a store's history.
type origin byte

const (
	fresh   origin = iota // there is no history
	copied                // another store, by Apply or Install
	written               // Commit or Fork of this store
)

const metaBucket = "meta"

func headerKey() []byte { return []byte("header") }

// formatOf returns the first byte of a row.
func formatOf(isMarked bool) byte {
	if isMarked {
		return marked
	}
	return format
}

func (h *header) encode() []byte {
	var e encoder
	e.byte(formatOf(h.marked))
	e.raw(h.store[:])
	e.byte(byte(h.origin))
	e.number(h.generation)
	e.number(h.horizon)
	e.raw(h.chain[:])
	e.number(h.sequence)
	e.number(h.ahead)
	e.number(int64(len(h.epochs)))
	for _, s := range h.epochs {
		e.number(s.from)
		e.number(s.epoch.Generation)
		e.raw(s.epoch.ID[:])
	}
	e.sum(headerKey())
	return e
}

func decodeHeader(row []byte) (header, error) {
	var h header
	if len(row) > 0 && row[0] > marked {
		return h, conf.Errorf(conf.ErrInvalid, "the store has format %d, this program knows up to %d", row[0], marked)
	}
	d, have := decodeMarked(row)
	h.marked = have == marked
	copy(h.store[:], d.raw(len(h.store)))
	h.origin = origin(d.byte())
	h.generation, h.horizon = d.number(), d.number()
	copy(h.chain[:], d.raw(len(h.chain)))
	h.sequence, h.ahead = d.number(), d.number()
	for range d.length() {
		s := epochStart{from: d.number()}
		s.epoch.Generation = d.number()
		copy(s.epoch.ID[:], d.raw(len(s.epoch.ID)))
		h.epochs = append(h.epochs, s)
		if d.failed {
			break
		}
	}
	d.sum(headerKey())
	if !d.end() || h.origin > written || len(h.epochs) == 0 {
		return h, conf.Errorf(conf.ErrCorrupt, "the store's header is damaged")
	}
	return h, nil
}

// position returns the position at a revision with its chain.
func (h *header) position(revision int64, chain conf.Chain) conf.Position {
	epoch := h.epochs[0].epoch
	for _, s := range h.epochs {
		if s.from <= revision {
			epoch = s.epoch
		}
	}
	return conf.Position{Store: h.store, Epoch: epoch, Revision: revision, Chain: chain}
}

// anchor returns the position after which the log begins.
func (h *header) anchor() conf.Position { return h.position(h.horizon, h.chain) }

// The names of the buckets of a generation.
func (h *header) logName() []byte      { return fmt.Appendf(nil, "log.%d", h.generation) }
func (h *header) currentName() []byte  { return fmt.Appendf(nil, "current.%d", h.generation) }
func (h *header) requestsName() []byte { return fmt.Appendf(nil, "requests.%d", h.generation) }

func (h *header) buckets() [][]byte {
	return [][]byte{h.logName(), h.currentName(), h.requestsName()}
}

// create creates the buckets of h's generation and writes h.
func (h *header) create(tx *bolt.Tx) error {
	for _, name := range h.buckets() {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return h.save(tx)
}

func (h *header) save(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	return b.Put(headerKey(), h.encode())
}
