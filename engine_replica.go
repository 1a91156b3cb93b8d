package diamond

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// After a write of replicaMany changes the copy rests for replicaGap: what a busy
	// server's transactions change goes to the disk together. A server that
	// crashes then reads that much more from the storage when it starts.
	replicaMany = 16
	replicaGap  = 500 * time.Millisecond
	// minReplicaAge is how long a copy is left alone that was damaged again at once:
	// to make it costs the storage as much as it holds.
	minReplicaAge = 10 * time.Minute
	// maxReplicaBackoff is the longest pause after the copy could not be written.
	maxReplicaBackoff = 30 * time.Second
	// replicaWriteBytes is how much one write of the copy has.
	replicaWriteBytes = 4 << 20
)

// diskCopy keeps a server's copy of its storage up to what is served. One
// goroutine writes it, all may read it.
type replica struct {
	local   ReplicaStorage
	log     *slog.Logger
	recent  *recent                                                  // what is served
	changes func(ctx context.Context, after Position) (Batch, error) // of the storage, verified
	install func(ctx context.Context) (Position, error)              // makes the copy anew

	woken    chan struct{}            // capacity 1: there is something to write
	at       atomic.Pointer[Position] // that it has reached; nil: not known
	damaged  atomic.Bool              // it is to be made anew
	err      atomic.Pointer[error]
	failures atomic.Uint64
	installs atomic.Uint64
	repaired time.Time // when it was made anew because of damage; the writer's
	wrote    int       // how many changes the last sync wrote; the writer's
}

// wake says that there is more to write. It never blocks.
func (c *replica) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// run keeps the copy until ctx ends.
func (c *replica) run(ctx context.Context) {
	retry := backoff.Backoff{Base: time.Second, Cap: maxReplicaBackoff}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.woken:
		}
		for {
			err := c.sync(ctx)
			if ctx.Err() != nil {
				return
			}
			c.note(err)
			if err == nil {
				break
			}
			if retry.Wait(ctx, 0) != nil {
				return
			}
		}
		retry.Reset()
		if c.wrote >= replicaMany && backoff.Sleep(ctx, replicaGap) != nil {
			return
		}
	}
}

// sync brings the copy to what is served.
func (c *replica) sync(ctx context.Context) error {
	c.wrote = 0
	at, err := c.local.At(ctx) // asked anew: the last write may have an unknown outcome
	if errors.Is(err, ErrCorrupt) {
		c.damage(err)
	} else if err != nil {
		return err
	}
	for lost, renewed := false, false; ; {
		if lost || c.damaged.Load() || at.IsZero() {
			if renewed { // not again at once: it costs the storage all it holds
				return unavailable("the storage does not have what follows the replica that was just made")
			}
			if at, err = c.renew(ctx); err != nil {
				return err
			}
			lost, renewed = false, true
		}
		c.reached(at)
		next, done := c.next(at)
		if done {
			return nil
		}
		if len(next.changes) == 0 {
			switch next, err = c.missed(ctx, at); {
			case errors.Is(err, ErrEpoch), errors.Is(err, ErrCompacted):
				lost = true // what follows the copy
				continue
			case err != nil || len(next.changes) == 0:
				return err
			}
		}
		if err := c.local.Apply(ctx, next.changes, next.to); err != nil {
			if errors.Is(err, ErrCorrupt) {
				c.damage(err)
			}
			return err
		}
		c.wrote += len(next.changes)
		at = next.to
	}
}

// next returns what to write to a copy that is at. There is nothing to do when
// it is done; an empty step says that only the storage has what follows at.
func (c *replica) next(at Position) (next step, done bool) {
	target := c.recent.last()
	if at == target || at.Epoch == target.Epoch && at.Revision > target.Revision {
		return step{}, true
	}
	next = step{from: at, to: at}
	sets, _ := c.recent.after(at)
	n, changes, bytes := 0, 0, int64(0)
	for ; n < len(sets); n++ {
		if bytes += bytesOf(sets[n].changes); n > 0 && bytes > replicaWriteBytes {
			break
		}
		changes += len(sets[n].changes)
		next.to = sets[n].to
	}
	next.changes = make([]Change, 0, changes)
	for i := range sets[:n] {
		next.changes = append(next.changes, sets[i].changes...)
	}
	return next, false
}

// flush writes what still waits when the server is closed, after run and the
// feed have ended: it may be all that the next one has. Where that fails the
// storage has it.
func (c *replica) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for at := c.at.Load(); !c.damaged.Load(); at = c.at.Load() {
		if at == nil {
			return
		}
		next, done := c.next(*at)
		if done || len(next.changes) == 0 || c.local.Apply(ctx, next.changes, next.to) != nil {
			return
		}
		c.reached(next.to)
	}
}

func (c *replica) reached(at Position) { c.at.Store(&at) }

// missed reads what follows at from the storage.
func (c *replica) missed(ctx context.Context, at Position) (step, error) {
	batch, err := c.changes(ctx, at)
	if errors.Is(err, ErrEpoch) && isBehind(batch.Head, at) {
		err = unavailable("the storage is at revision %d, the replica at %d", batch.Head.Revision, at.Revision) // the feed finds out why
	}
	return step{at, batch.Changes, batch.Position}, err
}

// renew makes the copy anew.
func (c *replica) renew(ctx context.Context) (Position, error) {
	damaged := c.damaged.Load()
	if age := time.Since(c.repaired); damaged && age < minReplicaAge {
		return Position{}, Errorf(ErrCorrupt, "the replica is damaged again %v after it was made anew", age.Round(time.Millisecond))
	}
	at, err := c.install(ctx)
	if err != nil {
		return at, err
	}
	if damaged {
		c.repaired = time.Now()
	}
	c.installs.Add(1)
	c.damaged.Store(false)
	c.log.Info("the replica was made anew", "revision", at.Revision)
	return at, nil
}

// damage notes that the copy cannot be relied on: it is made anew.
func (c *replica) damage(err error) {
	if !c.damaged.Swap(true) {
		c.log.Error("the replica is damaged: it is made anew from the storage", "err", err)
	}
	c.wake()
}

// note keeps the outcome of a sync.
func (c *replica) note(err error) {
	if err == nil {
		if c.err.Swap(nil) != nil {
			c.log.Info("the replica can be written again")
		}
		return
	}
	c.failures.Add(1)
	if c.err.Swap(&err) == nil {
		c.log.Warn("the replica cannot be written; what is served is not affected", "err", err)
	}
}

// has reports whether the copy holds history up to revision, of the epoch that
// st is of.
func (c *replica) has(st *state, revision int64) bool {
	at := c.at.Load()
	return at != nil && !c.damaged.Load() && at.Epoch == st.position.Epoch && at.Revision >= revision
}

// read returns an entry from the copy.
func (c *replica) read(ctx context.Context, key Key, revision int64) (Entry, error) {
	if c.damaged.Load() {
		return Entry{}, unavailable("the replica is damaged")
	}
	e, err := c.local.Read(ctx, key, revision)
	if errors.Is(err, ErrCorrupt) {
		c.damage(err)
	}
	return e, err
}

func (c *replica) status() *ReplicaStatus {
	st := &ReplicaStatus{Failures: c.failures.Load(), Installs: c.installs.Load()}
	if at := c.at.Load(); at != nil && !c.damaged.Load() {
		st.Position = *at
	}
	if err := c.err.Load(); err != nil {
		st.Err = *err
	}
	return st
}
