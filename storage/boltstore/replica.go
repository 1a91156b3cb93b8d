package boltstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"iter"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// installBytes is the approximate number of bytes that one transaction of an installation
// writes.
const installBytes = 8 << 20

// At implements [diamond.Replica].
func (s *Store) At(ctx context.Context) (conf.Position, error) {
	var at conf.Position
	err := s.read(ctx, func(v *view) (err error) {
		at, err = v.at()
		return err
	})
	return at, err
}

// Apply implements [diamond.Replica].
func (s *Store) Apply(ctx context.Context, changes []conf.Change, to conf.Position) error {
	return s.write(ctx, func(v *view) error {
		if err := v.isCopy(); err != nil {
			return err
		}
		at, err := v.at()
		if err != nil {
			return err
		}
		if err := storage.Follows(at, changes, to); err != nil {
			return err
		}
		if at == to {
			return errNothing
		}
		return v.apply(changes, to)
	})
}

// apply adds changes that lead to to.
func (v *view) apply(changes []conf.Change, to conf.Position) error {
	changed := v.origin == fresh
	if changed {
		v.origin, v.store = copied, to.Store
		v.epochs = []epochStart{{epoch: storage.FirstEpoch(changes, to)}}
	}
	at, count, err := v.head()
	if err != nil {
		return err
	}
	for len(changes) > 0 {
		set := changes[:changes[0].Count]
		changes = changes[len(set):]
		for i := range set {
			if set[i].Op == conf.OpPublish && !validMD5(set[i].MD5) {
				return conf.Errorf(conf.ErrCorrupt, "the MD5 of %v at revision %d is invalid", set[i].Key, set[i].Revision)
			}
			if set[i].Op == conf.OpFork {
				v.epochs = append(v.epochs, epochStart{set[i].Revision, set[i].Epoch})
				changed = true
			}
		}
		for i := range set {
			at.Chain = at.Chain.Extend(&set[i])
		}
		if err := v.add(set, at, count); err != nil {
			return err
		}
		count += int64(len(set))
	}
	if changed {
		return v.save(v.tx)
	}
	return nil
}

// Install implements [diamond.Replica]. It builds the new state next to the old one in
// several transactions; the last of them replaces the old state.
func (s *Store) Install(ctx context.Context, at conf.Position, entries iter.Seq2[conf.Entry, error]) error {
	if !s.installing.TryLock() {
		return conf.Errorf(conf.ErrInvalid, "another installation is under way")
	}
	defer s.installing.Unlock()
	in := &installer{at: at}
	if err := s.write(ctx, in.begin); err != nil {
		return err
	}
	err := s.install(ctx, in, entries)
	if err != nil {
		// The unfinished state does no harm. It is removed now or, if the store cannot be
		// written, by the next installation.
		_ = s.write(context.WithoutCancel(ctx), discard)
	}
	return err
}

func (s *Store) install(ctx context.Context, in *installer, entries iter.Seq2[conf.Entry, error]) error {
	for e, err := range entries {
		if err != nil {
			return err
		}
		if err := storage.CheckInstall(&e); err != nil {
			return err
		}
		if in.add(&e) {
			if err := s.write(ctx, in.flush); err != nil {
				return err
			}
		}
	}
	return s.write(ctx, in.end)
}

// installer builds a generation of buckets.
type installer struct {
	at     conf.Position
	next   header
	count  uint32 // of entries
	buffer []conf.Entry
	bytes  int // in buffer
}

func (in *installer) begin(v *view) error {
	if err := in.allowed(v); err != nil {
		return err
	}
	in.next = header{
		store: in.at.Store, origin: copied, generation: v.generation + 1,
		horizon: in.at.Revision, chain: in.at.Chain,
		epochs: []epochStart{{epoch: in.at.Epoch}},
	}
	if err := discard(v); err != nil {
		return err
	}
	for _, name := range in.next.buckets() {
		if _, err := v.tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// allowed returns an error if the installation is not allowed.
func (in *installer) allowed(v *view) error {
	if err := v.isCopy(); err != nil {
		return err
	}
	if in.at.IsZero() {
		return conf.Errorf(conf.ErrInvalid, "install at the position of no store")
	}
	if have, err := v.at(); err != nil || !have.IsZero() && have.Store != in.at.Store {
		if err == nil {
			err = storage.OtherStore(have, in.at)
		}
		return err
	}
	return nil
}

// add puts an entry into the buffer and reports whether the buffer is full.
func (in *installer) add(e *conf.Entry) bool {
	in.buffer = append(in.buffer, *e)
	in.bytes += len(e.Content)
	return in.bytes >= installBytes || len(in.buffer) >= storage.MaxBatch
}

// flush stores the entries of the buffer.
func (in *installer) flush(v *view) error {
	log, current := v.tx.Bucket(in.next.logName()), v.tx.Bucket(in.next.currentName())
	for i := range in.buffer {
		e := &in.buffer[i]
		key := keyBytes(e.Key)
		if current.Get(key) != nil {
			return conf.Errorf(conf.ErrInvalid, "entry %v is given twice", e.Key)
		}
		in.count++
		r := &record{
			at:      pointer{installed: true, revision: e.Revision, number: in.count},
			ordinal: 1, change: storage.EntryChange(e, sha256.Sum256([]byte(e.Content))),
		}
		in.next.marked = in.next.marked || storage.Marks(&r.change)
		if err := log.Put(r.at.bytes(), r.encode()); err != nil {
			return err
		}
		if err := current.Put(key, currentOf(r).encode(key)); err != nil {
			return err
		}
		in.next.ahead = max(in.next.ahead, e.Revision)
	}
	in.buffer, in.bytes = in.buffer[:0], 0
	return nil
}

// end stores the rest and replaces the old generation with the new one.
func (in *installer) end(v *view) error {
	if err := in.allowed(v); err != nil {
		return err
	}
	if err := in.flush(v); err != nil {
		return err
	}
	if err := in.next.save(v.tx); err != nil {
		return err
	}
	v.header = in.next
	return discard(v)
}

// discard removes the buckets of all generations except the present one.
func discard(v *view) error {
	keep := append(v.buckets(), []byte(metaBucket))
	var gone [][]byte
	err := v.tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		if !slices.ContainsFunc(keep, func(k []byte) bool { return bytes.Equal(k, name) }) {
			gone = append(gone, bytes.Clone(name))
		}
		return nil
	})
	for _, name := range gone {
		if err == nil {
			err = v.tx.DeleteBucket(name)
		}
	}
	return err
}

// isCopy returns an error if the store is not a copy, so that its history is not
// overwritten.
func (v *view) isCopy() error {
	if v.origin == written {
		return storage.NotCopy()
	}
	return nil
}
