package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// After a write of at least replicaMany changes the replica rests for replicaGap, so
	// that the changes of a busy server go to the disk together. A server that crashes
	// reads that much more from the storage when it starts.
	replicaMany = 16
	replicaGap  = 500 * time.Millisecond
	// minReplicaAge is the minimum time between two times that a damaged replica is
	// rebuilt, because that reads everything that the storage has.
	minReplicaAge = 10 * time.Minute
	// maxReplicaBackoff is the longest pause after the replica could not be written.
	maxReplicaBackoff = 30 * time.Second
	// replicaWriteBytes is the number of bytes of changes in one write of the replica.
	replicaWriteBytes = 4 << 20
)

// replica keeps the server's copy of its storage up to date with what is served. Only its
// own goroutine writes it, behind what is served. Every goroutine may read it. A nil replica
// is empty.
type replica struct {
	local   ReplicaStorage
	log     *slog.Logger
	recent  *recent                                                            // what is served
	changes func(ctx context.Context, after conf.Position) (conf.Batch, error) // of the storage, verified
	install func(ctx context.Context) (conf.Position, error)                   // rebuilds the replica

	woken    chan struct{}                 // capacity 1: there is something to write
	at       atomic.Pointer[conf.Position] // that it has reached, or nil if that is not known
	damaged  atomic.Bool                   // it has to be rebuilt
	err      atomic.Pointer[error]
	failures atomic.Uint64
	installs atomic.Uint64
	repaired time.Time // when it was last rebuilt because of damage; the writer's
	wrote    int       // number of changes that the last sync wrote; the writer's
}

// newReplica returns a replica that is kept in local. It follows nothing yet.
func newReplica(local ReplicaStorage, log *slog.Logger) *replica {
	return &replica{local: local, log: log, woken: make(chan struct{}, 1)}
}

// follow makes the replica follow what is served. Changes reads what it has missed, and
// install rebuilds it.
func (r *replica) follow(recent *recent, changes func(context.Context, conf.Position) (conf.Batch, error), install func(context.Context) (conf.Position, error)) {
	r.recent, r.changes, r.install = recent, changes, install
}

// wake says that there is more to write. It never blocks.
func (r *replica) wake() {
	if r == nil {
		return
	}
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run writes the replica until ctx ends.
func (r *replica) run(ctx context.Context) {
	retry := backoff.Backoff{Base: time.Second, Cap: maxReplicaBackoff}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken:
		}
		for {
			err := r.sync(ctx)
			if ctx.Err() != nil {
				return
			}
			r.note(err)
			if err == nil {
				break
			}
			if retry.Wait(ctx, 0) != nil {
				return
			}
		}
		retry.Reset()
		if r.wrote >= replicaMany && backoff.Sleep(ctx, replicaGap) != nil {
			return
		}
	}
}

// sync brings the replica to what is served.
func (r *replica) sync(ctx context.Context) error {
	r.wrote = 0
	at, err := r.local.At(ctx) // not remembered, because the outcome of the last write may be unknown
	if errors.Is(err, conf.ErrCorrupt) {
		r.damage(err)
	} else if err != nil {
		return err
	}
	for lost, renewed := false, false; ; {
		if lost || r.damaged.Load() || at.IsZero() {
			if renewed { // not again at once, because it reads everything that the storage has
				return unavailable("the storage does not have what follows the replica that was just made")
			}
			if at, err = r.renew(ctx); err != nil {
				return err
			}
			lost, renewed = false, true
		}
		r.reached(at)
		next, done := r.next(at)
		if done {
			return nil
		}
		if len(next.changes) == 0 {
			switch next, err = r.missed(ctx, at); {
			case errors.Is(err, conf.ErrEpoch), errors.Is(err, conf.ErrCompacted):
				lost = true // what follows the replica
				continue
			case err != nil || len(next.changes) == 0:
				return err
			}
		}
		if err := r.local.Apply(ctx, next.changes, next.to); err != nil {
			if errors.Is(err, conf.ErrCorrupt) {
				r.damage(err)
			}
			return err
		}
		r.wrote += len(next.changes)
		at = next.to
	}
}

// next returns what to write to a replica that has reached at. Done says that there is
// nothing to write. An empty step says that only the storage has what follows at.
func (r *replica) next(at conf.Position) (next step, done bool) {
	target := r.recent.last()
	if at == target || at.Epoch == target.Epoch && at.Revision > target.Revision {
		return step{}, true
	}
	next = step{from: at, to: at}
	sets, _ := r.recent.after(at)
	n, changes, bytes := 0, 0, int64(0)
	for ; n < len(sets); n++ {
		if bytes += bytesOf(sets[n].changes); n > 0 && bytes > replicaWriteBytes {
			break
		}
		changes += len(sets[n].changes)
		next.to = sets[n].to
	}
	next.changes = make([]conf.Change, 0, changes)
	for i := range sets[:n] {
		next.changes = append(next.changes, sets[i].changes...)
	}
	return next, false
}

// flush writes the changes that are not written yet when the server is closed, because the
// next server may have to start from the replica alone. It is called after run and the feed
// have ended. The storage has whatever flush cannot write before ctx ends.
func (r *replica) flush(ctx context.Context) {
	for at := r.at.Load(); !r.damaged.Load(); at = r.at.Load() {
		if at == nil {
			return
		}
		next, done := r.next(*at)
		if done || len(next.changes) == 0 || r.local.Apply(ctx, next.changes, next.to) != nil {
			return
		}
		r.reached(next.to)
	}
}

func (r *replica) reached(at conf.Position) { r.at.Store(&at) }

// missed reads what follows at from the storage.
func (r *replica) missed(ctx context.Context, at conf.Position) (step, error) {
	batch, err := r.changes(ctx, at)
	if errors.Is(err, conf.ErrEpoch) && isBehind(batch.Head, at) {
		err = unavailable("the storage is at revision %d, the replica at %d", batch.Head.Revision, at.Revision) // the feed finds out why
	}
	return step{at, batch.Changes, batch.Position}, err
}

// renew rebuilds the replica.
func (r *replica) renew(ctx context.Context) (conf.Position, error) {
	damaged := r.damaged.Load()
	if age := time.Since(r.repaired); damaged && age < minReplicaAge {
		return conf.Position{}, conf.Errorf(conf.ErrCorrupt, "the replica is damaged again %v after it was made anew", age.Round(time.Millisecond))
	}
	at, err := r.install(ctx)
	if err != nil {
		return at, err
	}
	if damaged {
		r.repaired = time.Now()
	}
	r.installs.Add(1)
	r.damaged.Store(false)
	r.log.Info("the replica was made anew", "revision", at.Revision)
	return at, nil
}

// damage records that the replica cannot be relied on and has to be rebuilt.
func (r *replica) damage(err error) {
	if !r.damaged.Swap(true) {
		r.log.Error("the replica is damaged: it is made anew from the storage", "err", err)
	}
	r.wake()
}

// note records the outcome of a sync.
func (r *replica) note(err error) {
	if err == nil {
		if r.err.Swap(nil) != nil {
			r.log.Info("the replica can be written again")
		}
		return
	}
	r.failures.Add(1)
	if r.err.Swap(&err) == nil {
		r.log.Warn("the replica cannot be written; what is served is not affected", "err", err)
	}
}

// has reports whether the replica holds history up to revision, of the epoch that
// st is of.
func (r *replica) has(st *state, revision int64) bool {
	if r == nil {
		return false
	}
	at := r.at.Load()
	return at != nil && !r.damaged.Load() && at.Epoch == st.position.Epoch && at.Revision >= revision
}

// read returns an entry from the replica.
func (r *replica) read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	if r.damaged.Load() {
		return conf.Entry{}, unavailable("the replica is damaged")
	}
	e, err := r.local.Read(ctx, key, revision)
	if errors.Is(err, conf.ErrCorrupt) {
		r.damage(err)
	}
	return e, err
}

// status returns the state of the replica, or nil if none is kept.
func (r *replica) status() *conf.ReplicaStatus {
	if r == nil {
		return nil
	}
	st := &conf.ReplicaStatus{Failures: r.failures.Load(), Installs: r.installs.Load()}
	if at := r.at.Load(); at != nil && !r.damaged.Load() {
		st.Position = *at
	}
	if err := r.err.Load(); err != nil {
		st.Err = *err
	}
	return st
}
