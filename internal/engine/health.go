package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// neverConfirmed is health.confirmed before the storage has been read for the first time.
const neverConfirmed = -1

// health tracks the state of the storage. Times are durations since health was made, which
// setting the wall clock does not change.
type health struct {
	log      *slog.Logger
	interval time.Duration // of the feed
	started  time.Time

	confirmed atomic.Int64 // when the feed last knew of the storage's head, in ns
	readErr   atomic.Pointer[error]
	write     atomic.Pointer[failedWrite] // the last commit, or nil if the storage took it

	storageErrors, feedGaps, feedStalls atomic.Uint64 // see [conf.ServerCounters]
}

// failedWrite is a commit that the storage failed.
type failedWrite struct {
	err error
	at  time.Duration
}

// writeDoubt is the time for which reads must have succeeded after a failed commit until
// the storage counts as usable again. There may be no further commit that would show it.
const writeDoubt = time.Minute

func newHealth(log *slog.Logger, interval time.Duration) *health {
	h := &health{log: log, interval: interval, started: time.Now()}
	h.confirmed.Store(neverConfirmed)
	return h
}

// known reports whether the storage has been read since the server was started.
func (h *health) known() bool { return h.confirmed.Load() != neverConfirmed }

// confirm records the outcome of a read by the feed.
func (h *health) confirm(err error) {
	if err != nil {
		h.storageErrors.Add(1)
		h.readErr.Store(&err)
		return
	}
	h.confirmed.Store(int64(time.Since(h.started)))
	h.readErr.Store(nil)
}

// wrote records the outcome of a commit.
func (h *health) wrote(err error) {
	before := h.writeErr()
	switch {
	case err != nil:
		h.storageErrors.Add(1)
		h.write.Store(&failedWrite{err, time.Since(h.started)})
		if before == nil {
			h.log.Warn("the storage cannot be written", "err", err)
		}
	case h.write.Swap(nil) != nil:
		h.log.Info("the storage can be written again")
	}
}

// writeErr returns the error of the last commit, or nil if it succeeded. An error no longer
// counts once reads have succeeded for writeDoubt since, except ErrNoSpace: a full disk can
// still be read.
func (h *health) writeErr() error {
	w := h.write.Load()
	if w == nil || !errors.Is(w.err, conf.ErrNoSpace) && time.Duration(h.confirmed.Load())-w.at >= writeDoubt {
		return nil
	}
	return w.err
}

// observe records the outcome of a round of the feed. It logs when the feed's trouble
// begins, changes or ends. Before is the outcome of the previous round.
func (h *health) observe(before, err error) {
	kind := func(err error) error {
		switch {
		case errors.Is(err, errFeedGap):
			return errFeedGap
		case errors.Is(err, errFeedStalled):
			return errFeedStalled
		case err != nil:
			return conf.ErrUnavailable
		}
		return nil
	}
	switch now := kind(err); {
	case now == kind(before):
	case now == errFeedGap:
		h.feedGaps.Add(1)
		h.log.Warn("feed gap: waiting for what is missing", "err", err)
	case now == errFeedStalled:
		h.feedStalls.Add(1)
		h.log.Error("feed stalled: the storage does not show what is committed", "err", err)
	case now != nil:
		h.log.Warn("the storage cannot be read", "err", err)
	default:
		h.log.Info("the storage can be read again")
	}
	h.confirm(err)
}

// stale returns the time since the storage last confirmed what is served, or 0 if it
// is confirmed. A storage that hangs returns no error, so it is noticed by the time since
// the last confirmation.
func (h *health) stale() time.Duration {
	confirmed := h.confirmed.Load()
	age := time.Since(h.started) - time.Duration(max(confirmed, 0))
	if confirmed == neverConfirmed || h.readErr.Load() != nil || age > 2*h.interval+time.Second {
		return max(age, 1)
	}
	return 0
}

// fresh returns a context for a read of the storage. The read is over a new connection if
// reads have not shown what is known to be committed; see [conf.FreshRead].
func (h *health) fresh(ctx context.Context) context.Context {
	if err := h.readErr.Load(); err != nil && (errors.Is(*err, errFeedGap) || errors.Is(*err, errFeedStalled)) {
		return conf.ReadFresh(ctx)
	}
	return ctx
}

// describe fills in what status says of the storage.
func (h *health) describe(status *conf.ServerStatus) {
	status.Stale = h.stale()
	if at := h.confirmed.Load(); at != neverConfirmed {
		status.Confirmed = h.started.Add(time.Duration(at))
	}
	status.Storage = h.writeErr()
	if p := h.readErr.Load(); p != nil {
		status.Storage = errors.Join(*p, status.Storage)
	}
	if w := h.write.Load(); w != nil {
		status.WriteErr, status.WriteFailed = w.err, h.started.Add(w.at)
	}
	status.Stalled = errors.Is(status.Storage, errFeedStalled)
	status.Counters.StorageErrors = h.storageErrors.Load()
	status.Counters.FeedGaps, status.Counters.FeedStalls = h.feedGaps.Load(), h.feedStalls.Load()
}
