package mysqlstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

const (
	// installBytes is the approximate number of bytes of an installation in memory.
	installBytes = 8 << 20
	// installIdle is the number of seconds that the database waits for the next part of an
	// installation, whose entries may come over a slow network.
	installIdle = 3600
)

// Apply implements [diamond.Replica].
func (s *Store) Apply(ctx context.Context, changes []conf.Change, to conf.Position) error {
	var keys []conf.Key
	for i := range changes {
		if changes[i].Op != conf.OpFork {
			keys = append(keys, changes[i].Key)
		}
	}
	return s.write(ctx, attempts, keys, func(ctx context.Context, t *transaction) error {
		if err := t.isCopy(); err != nil {
			return err
		}
		if err := storage.Follows(t.at(), changes, to); err != nil {
			return err
		}
		if t.at() == to {
			return errNothing
		}
		if t.origin == fresh {
			t.origin = copied
			t.head = mark{Position: conf.Position{Store: to.Store, Epoch: storage.FirstEpoch(changes, to)}}
			t.horizon = t.head
		}
		return t.apply(ctx, changes)
	})
}

// apply adds changes that are known to follow.
func (t *transaction) apply(ctx context.Context, changes []conf.Change) error {
	for i := range changes {
		if err := t.fits(&changes[i]); err != nil {
			return err
		}
	}
	w := t.writer()
	for rest := changes; len(rest) > 0; {
		set := rest[:rest[0].Count]
		rest = rest[len(set):]
		after, err := w.head.Follow(set)
		if err != nil {
			return err
		}
		w.add(set, after)
	}
	return w.flush(ctx)
}

// Install implements [diamond.Replica]. It is one transaction, so that nobody sees a part of
// it. Meanwhile reads continue, and other writes wait or fail with a timeout.
func (s *Store) Install(ctx context.Context, at conf.Position, entries iter.Seq2[conf.Entry, error]) error {
	var given error // the error of entries
	err := s.write(ctx, 1, nil, func(ctx context.Context, t *transaction) error {
		in := installer{transaction: t, at: at}
		if err := in.begin(ctx); err != nil {
			return err
		}
		for e, err := range entries {
			if given = err; err != nil {
				return err
			}
			if err := in.add(ctx, &e); err != nil {
				return err
			}
		}
		return in.end(ctx)
	})
	if given != nil {
		return given
	}
	return err
}

// installer writes the entries of an installation.
type installer struct {
	*transaction
	at      conf.Position
	count   int64
	changes [][]any // rows to write
	entries [][]any
	bytes   int64 // of their contents
}

func (in *installer) begin(ctx context.Context) error {
	if err := in.isCopy(); err != nil {
		return err
	}
	if in.at.IsZero() {
		return conf.Errorf(conf.ErrInvalid, "install at the position of no store")
	}
	if have := in.transaction.at(); !have.IsZero() && have.Store != in.at.Store {
		return storage.OtherStore(have, in.at)
	}
	in.altered, in.marked = true, false
	in.ahead = 0
	for _, statement := range []string{
		fmt.Sprint("SET SESSION wait_timeout = ", installIdle),
		"DELETE FROM diamond_change", "DELETE FROM diamond_entry", "DELETE FROM diamond_request",
	} {
		if err := in.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (in *installer) add(ctx context.Context, e *conf.Entry) error {
	if err := storage.CheckInstall(e); err != nil {
		return err
	}
	v := version{change: storage.EntryChange(e, sha256.Sum256([]byte(e.Content))), epoch: in.at.Epoch, ordinal: 1}
	if err := in.fits(&v.change); err != nil {
		return err
	}
	in.marked = in.marked || storage.Marks(&v.change)
	in.count++
	v.installed = -in.count
	in.ahead = max(in.ahead, e.Revision)
	in.changes, in.entries = append(in.changes, v.values()), append(in.entries, v.entryValues())
	if in.bytes += e.Size; in.bytes >= installBytes || len(in.entries) >= storage.MaxBatch {
		return in.flush(ctx)
	}
	return nil
}

// flush writes the buffered rows.
func (in *installer) flush(ctx context.Context) error {
	if err := in.insert(ctx, changeTable(), in.changes); err != nil {
		return err
	}
	err := in.insert(ctx, entryTable("INSERT"), in.entries)
	if isDuplicate(err) {
		return conf.Errorf(conf.ErrInvalid, "an entry is given twice")
	}
	in.changes, in.entries, in.bytes = in.changes[:0], in.entries[:0], 0
	return err
}

// end writes the remaining rows and the counter.
func (in *installer) end(ctx context.Context) error {
	if err := in.flush(ctx); err != nil {
		return err
	}
	in.origin, in.head = copied, mark{Position: in.at}
	in.horizon = in.head
	return in.save(ctx)
}
