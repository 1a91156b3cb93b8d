package diamond

import (
	"errors"
	"sync/atomic"
	"time"
)

// counters are the server's own; see [ServerCounters].
type counters struct {
	committed, conflict, refused, failed, unknown, shed           atomic.Uint64
	canceled                                                      atomic.Uint64
	pollChanged, pollTimeout, pollCanceled, pollShed, pollDrained atomic.Uint64
	pollResync, pollFailed                                        atomic.Uint64
	storageErrors                                                 atomic.Uint64
	feedGaps, feedStalls, checks, checkFailures, divergences      atomic.Uint64
}

// neverConfirmed is health.confirmed before the storage has been read for the first time.
const neverConfirmed = -1

// health is what the server knows of its storage.
type health struct {
	confirmed atomic.Int64 // when the feed last knew of the storage's head, in ns since the server was made
	readErr   atomic.Pointer[error]
	write     atomic.Pointer[failedWrite] // the last commit; nil: the storage took it
}

// failedWrite is a commit that the storage failed.
type failedWrite struct {
	err error
	at  time.Duration // since the server was made
}

// writeDoubt is for how long the storage must have been read since a commit
// failed, for that to say no more of how the storage is now.
const writeDoubt = time.Minute

// confirm notes the outcome of a read by the feed.
func (s *server) confirm(err error) {
	if err != nil {
		s.counters.storageErrors.Add(1)
		s.health.readErr.Store(&err)
		return
	}
	s.health.confirmed.Store(int64(time.Since(s.started)))
	s.health.readErr.Store(nil)
}

// wrote notes the outcome of a commit.
func (s *server) wrote(err error) {
	before := s.writeErr()
	switch {
	case err != nil:
		s.counters.storageErrors.Add(1)
		s.health.write.Store(&failedWrite{err, time.Since(s.started)})
		if before == nil {
			s.log.Warn("the storage cannot be written", "err", err)
		}
	case s.health.write.Swap(nil) != nil:
		s.log.Info("the storage can be written again")
	}
}

// writeErr returns why the storage cannot be written now, as far as the last
// commit says it. That it failed says nothing any more once the storage has been
// read for long enough since, but for a reason that no read meets.
func (s *server) writeErr() error {
	w := s.health.write.Load()
	if w == nil || !errors.Is(w.err, ErrNoSpace) && time.Duration(s.health.confirmed.Load())-w.at >= writeDoubt {
		return nil
	}
	return w.err
}

// observe logs the feed's troubles where they begin, change and end, and
// confirms the outcome of a round.
func (s *server) observe(before, err error) {
	kind := func(err error) error {
		switch {
		case errors.Is(err, errFeedGap):
			return errFeedGap
		case errors.Is(err, errFeedStalled):
			return errFeedStalled
		case err != nil:
			return ErrUnavailable
		}
		return nil
	}
	switch now := kind(err); {
	case now == kind(before):
	case now == errFeedGap:
		s.counters.feedGaps.Add(1)
		s.log.Warn("feed gap: waiting for what is missing", "err", err)
	case now == errFeedStalled:
		s.counters.feedStalls.Add(1)
		s.log.Error("feed stalled: the storage does not show what is committed", "err", err)
	case now != nil:
		s.log.Warn("the storage cannot be read", "err", err)
	default:
		s.log.Info("the storage can be read again")
	}
	s.confirm(err)
}

// stale returns for how long the storage has not confirmed what is served, as
// far as this process knows; 0: it has. A storage that hangs is noticed by the
// clock.
func (s *server) stale() time.Duration {
	confirmed := s.health.confirmed.Load()
	age := time.Since(s.started) - time.Duration(max(confirmed, 0))
	if confirmed == neverConfirmed || s.health.readErr.Load() != nil || age > 2*s.cfg.feedInterval+time.Second {
		return max(age, 1)
	}
	return 0
}

// Status implements [Server].
func (s *server) Status() ServerStatus {
	st := s.state.Load()
	status := ServerStatus{
		Ready:     st != nil && !s.closed.Load(),
		Draining:  s.draining.Load(),
		Stale:     s.stale(),
		Waiters:   int(s.parked.Load()),
		SetKeys:   s.keySets.total.Used(),
		Inflight:  s.commits.len(),
		CacheSize: s.contents.bytes.Load(),
		Counters:  s.counters.read(s.served),
	}
	if at := s.health.confirmed.Load(); at != neverConfirmed {
		status.Confirmed = s.started.Add(time.Duration(at))
	}
	status.Lag = s.progress.lag(st)
	if s.replica != nil {
		status.Replica = s.replica.status()
	}
	status.Storage = s.writeErr()
	if p := s.health.readErr.Load(); p != nil {
		status.Storage = errors.Join(*p, status.Storage)
	}
	if w := s.health.write.Load(); w != nil {
		status.WriteErr, status.WriteFailed = w.err, s.started.Add(w.at)
	}
	status.Divergent = int(s.divergent.Load())
	if p := s.checkErr.Load(); p != nil {
		status.CheckErr = *p
	}
	status.Stalled = errors.Is(status.Storage, errFeedStalled)
	if st != nil {
		status.Position = st.position
		status.Keys = int(st.index.live.Load())
		status.Listeners = s.reports.count(st.index)
	}
	return status
}

func (c *counters) read(served *served) ServerCounters {
	return ServerCounters{
		Committed: c.committed.Load(), Conflict: c.conflict.Load(), Refused: c.refused.Load(),
		Failed: c.failed.Load(), Unknown: c.unknown.Load(), Shed: c.shed.Load(),
		PollChanged: c.pollChanged.Load(), PollTimeout: c.pollTimeout.Load(), PollCanceled: c.pollCanceled.Load(),
		PollShed: c.pollShed.Load(), PollDrained: c.pollDrained.Load(),
		PollResync: c.pollResync.Load(), PollFailed: c.pollFailed.Load(), Canceled: c.canceled.Load(),
		Wakeups:   served.wakeups.Load(),
		CacheHits: served.contents.hits.Load(), CacheLoads: served.contents.loaded.Load(),
		StorageErrors: c.storageErrors.Load(), Forks: served.forks.Load(),
		FeedGaps: c.feedGaps.Load(), FeedStalls: c.feedStalls.Load(),
		Checks: c.checks.Load(), CheckFailures: c.checkFailures.Load(), Divergences: c.divergences.Load(),
	}
}
