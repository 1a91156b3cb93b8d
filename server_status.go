package diamond

import (
	"errors"
	"sync/atomic"
	"time"
)

// counters are the server's own; see [ServerCounters].
type counters struct {
	committed, conflict, refused, failed, unknown, shed           atomic.Uint64
	pollChanged, pollTimeout, pollCanceled, pollShed, pollDrained atomic.Uint64
	wakeups, storageErrors, forks                                 atomic.Uint64
	feedGaps, feedStalls, checks, divergences                     atomic.Uint64
}

// never is health.confirmed before the storage has been read for the first time.
const never = -1

// health is what the server knows of its storage.
type health struct {
	confirmed atomic.Int64 // when the feed last knew of the storage's head, in ns since the server was made
	readErr   atomic.Pointer[error]
	writeErr  atomic.Pointer[error]
}

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
	if err != nil {
		s.counters.storageErrors.Add(1)
		if s.health.writeErr.Swap(&err) == nil {
			s.log.Warn("the storage cannot be written", "err", err)
		}
		return
	}
	s.health.writeErr.Store(nil)
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
	if confirmed == never || s.health.readErr.Load() != nil || age > 2*s.cfg.feedInterval+time.Second {
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
		Inflight:  s.commits.len(),
		CacheSize: s.contents.bytes.Load(),
		Counters:  s.counters.read(s.contents),
	}
	if at := s.health.confirmed.Load(); at != never {
		status.Confirmed = s.started.Add(time.Duration(at))
	}
	status.Lag = s.progress.lag(st)
	if s.copy != nil {
		status.Replica = s.copy.status()
	}
	var errs []error
	for _, p := range []*error{s.health.readErr.Load(), s.health.writeErr.Load()} {
		if p != nil {
			errs = append(errs, *p)
		}
	}
	status.Storage = errors.Join(errs...)
	status.Divergent = int(s.divergent.Load())
	status.Stalled = errors.Is(status.Storage, errFeedStalled)
	if st != nil {
		status.Position = st.position
		status.Keys = int(st.index.live.Load())
		status.Listeners = s.reports.count(st.index)
	}
	return status
}

func (c *counters) read(contents *contents) ServerCounters {
	return ServerCounters{
		Committed: c.committed.Load(), Conflict: c.conflict.Load(), Refused: c.refused.Load(),
		Failed: c.failed.Load(), Unknown: c.unknown.Load(), Shed: c.shed.Load(),
		PollChanged: c.pollChanged.Load(), PollTimeout: c.pollTimeout.Load(), PollCanceled: c.pollCanceled.Load(),
		PollShed: c.pollShed.Load(), PollDrained: c.pollDrained.Load(),
		Wakeups:   c.wakeups.Load(),
		CacheHits: contents.hits.Load(), CacheLoads: contents.loaded.Load(),
		StorageErrors: c.storageErrors.Load(), Forks: c.forks.Load(),
		FeedGaps: c.feedGaps.Load(), FeedStalls: c.feedStalls.Load(),
		Checks: c.checks.Load(), Divergences: c.divergences.Load(),
	}
}
