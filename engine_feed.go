package diamond

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// feedBytes is how many bytes of content the feed asks for at once.
	feedBytes = 4 << 20
	// maxFeedBackoff is the longest pause of the feed after failures, unless its
	// interval is longer.
	maxFeedBackoff = 2 * time.Second
)

// feed brings the server to the storage's head, again and again: at once when
// woken, else at its interval, with backoff while the storage fails. It alone
// changes what is served. It sends the outcome of its first round to loaded.
func (s *server) feed(ctx context.Context, loaded chan<- error) {
	retry := backoff.Backoff{Base: s.cfg.feedInterval, Cap: max(s.cfg.feedInterval, maxFeedBackoff)}
	for before := error(nil); ; {
		err := s.advance(ctx)
		if err == nil {
			err = s.progress.stalled(s.state.Load())
		}
		if ctx.Err() != nil {
			return
		}
		s.observe(before, err)
		before = err
		select {
		case loaded <- err:
		default: // not the first round
		}
		if err != nil {
			// Not cut short by a nudge: a storage in trouble is left alone.
			s.pause(ctx, retry.Next(0))
		} else {
			retry.Reset()
			s.idle(ctx)
		}
	}
}

// idle waits until somebody wakes or nudges the feed, or for the interval, which
// varies by a tenth so that servers that share a storage do not ask it all at
// once. Nudges come from outside: between two rounds that they ask for there is at
// least nudgeGap.
func (s *server) idle(ctx context.Context) {
	interval := s.cfg.feedInterval
	timer := time.NewTimer(interval*9/10 + rand.N(interval/5+1))
	defer timer.Stop()
	for nudged := s.nudged; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.woken:
			return
		case <-timer.C:
			if nudged == nil {
				s.obeyed = time.Now()
			}
			return
		case <-nudged:
			nudged = nil
			s.lag.done = time.Time{} // of others' commits only the storage tells
			timer.Reset(time.Until(s.obeyed.Add(nudgeGap)))
		case do := <-s.tasks:
			do()
		}
	}
}

// pause waits for d, whoever wakes the feed. Meanwhile it applies what needs no storage.
func (s *server) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case do := <-s.tasks:
			do()
		case <-s.woken:
			if st := s.state.Load(); st != nil {
				s.applyOwn(st)
			}
		}
	}
}

// moveOn serves sets that follow what is served.
func (s *server) moveOn(st *state, sets []step) *state {
	st = s.apply(st, sets)
	if s.replica != nil {
		s.replica.wake() // last: nobody waits for a disk
	}
	return st
}

// wake has the feed look at once. It never blocks: one wake that the feed
// has not seen yet stands for all.
func (s *server) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// advance brings the server to the storage's head.
func (s *server) advance(ctx context.Context) error {
	st := s.state.Load()
	if st == nil {
		return s.load(ctx)
	}
	st, done := s.applyOwn(st)
	if done && !s.lag.due(s.cfg.feedInterval) {
		return nil
	}
	s.lag.done = time.Time{}
	for {
		batch, sets, err := s.changes(ctx, st.position)
		switch {
		case errors.Is(err, ErrEpoch):
			if isBehind(batch.Head, st.position) && !s.historyLost.Load() {
				if wait, err := s.lag.behind(batch.Head, st.position); wait {
					return err
				}
			}
			return s.fork(ctx, st)
		case errors.Is(err, ErrCompacted):
			s.log.Warn("the storage keeps no changes that follow ours: loading all anew", "revision", st.position.Revision)
			if err = s.load(ctx); errors.Is(err, ErrEpoch) {
				return s.fork(ctx, st)
			}
			return err
		case errors.Is(err, ErrOtherStore):
			err = s.otherStore(err)
			s.withdraw(err)
			return err
		case err != nil:
			return err
		}
		st = s.moveOn(st, s.seeded.spoil(sets))
		if batch.Position == batch.Head {
			s.lag.toHead()
			return nil
		}
	}
}

// changes reads a batch that follows after, and verifies it set by set.
func (s *server) changes(ctx context.Context, after Position) (Batch, []step, error) {
	batch, err := s.storage.Changes(s.fresh(ctx), after, feedBytes)
	if err != nil {
		return batch, nil, err
	}
	if err := findGap(after, batch.Changes); err != nil {
		return batch, nil, err
	}
	if len(batch.Changes) == 0 && batch.Position != batch.Head {
		return batch, nil, Errorf(ErrCorrupt, "no changes follow revision %d, but the head is at %d", after.Revision, batch.Head.Revision)
	}
	sets, to, err := verifySets(after, batch.Changes)
	if err == nil && to != batch.Position {
		err = Errorf(ErrCorrupt, "the changes up to revision %d do not have its chain", to.Revision)
	}
	return batch, sets, err
}

// verifySets verifies changes, and returns them set by set with the position after
// the last.
func verifySets(p Position, changes []Change) (sets []step, to Position, err error) {
	for to = p; len(changes) > 0; {
		n := 1
		for n < len(changes) && changes[n].Number > 0 {
			n++
		}
		set := step{from: to, changes: changes[:n:n]}
		if to, err = to.Follow(set.changes); err != nil {
			return nil, to, err
		}
		set.to = to
		sets = append(sets, set)
		changes = changes[n:]
	}
	return sets, to, nil
}
