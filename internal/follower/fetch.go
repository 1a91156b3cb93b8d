package follower

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

const (
	// fetchTogether is the maximum number of contents that are fetched at a time.
	fetchTogether = 8
	// contentTimeout is the longest time for one content. Attempts get longer up to it
	// after shorter ones have failed, as they do for a large content on a slow line.
	contentTimeout = time.Minute
)

// fetcher fetches the contents of followed keys.
type fetcher struct {
	calls  *calls
	slots  *slots
	refuse func(s *slot, err error) // see [refusals.refuse]
	log    *slog.Logger
	// missing holds slots whose content a poll only named and that could not be fetched
	// then. Some may have been fetched or superseded since.
	missing *coalesce.Queue[*slot, struct{}]
}

func newFetcher(calls *calls, slots *slots, refuse func(*slot, error), log *slog.Logger) *fetcher {
	return &fetcher{calls: calls, slots: slots, refuse: refuse, log: log, missing: coalesce.New[*slot, struct{}]()}
}

// fetchAll fetches several slots in parallel, each at position after or later. It
// returns the updates that arrive before ctx ends, and the errors of the others.
func (f *fetcher) fetchAll(ctx context.Context, slots []*slot, after conf.Position) (fetched map[*slot]update, failed map[*slot]error) {
	results := make([]update, len(slots))
	errs := make([]error, len(slots))
	var group errgroup.Group
	group.SetLimit(fetchTogether)
	for i, s := range slots {
		group.Go(func() error {
			results[i], errs[i] = f.calls.fetch(ctx, s.key, after)
			return nil
		})
	}
	_ = group.Wait()
	fetched, failed = make(map[*slot]update, len(slots)), make(map[*slot]error)
	for i, s := range slots {
		if errs[i] == nil {
			fetched[s] = results[i]
		} else {
			failed[s] = errs[i]
		}
	}
	return fetched, failed
}

// run fetches missing contents until each has arrived or been superseded. A content
// that takes long does not delay the others.
func (f *fetcher) run(ctx context.Context) {
	var pause backoff.Backoff
	timeout := fetchTimeout
	for f.missing.Wait(ctx) == nil {
		wanted := f.missing.Take()
		f.stillMissing(wanted)
		var group errgroup.Group
		group.SetLimit(fetchTogether)
		for s := range wanted {
			group.Go(func() error {
				ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
				defer cancel()
				return f.catchUp(ctx, []*slot{s})
			})
		}
		failed := group.Wait()
		f.stillMissing(wanted)
		if len(wanted) == 0 {
			pause.Reset()
			timeout = fetchTimeout
			continue
		}
		timeout = min(2*timeout, contentTimeout)
		f.missing.PutBack(wanted)
		pause.Cap = pauseCap(failed)
		if pause.Wait(ctx, retryAfterOf(failed)) != nil {
			return
		}
	}
}

// stillMissing removes the slots from wanted whose content has arrived or been
// superseded.
func (f *fetcher) stillMissing(wanted map[*slot]struct{}) {
	f.slots.mu.Lock()
	defer f.slots.mu.Unlock()
	maps.DeleteFunc(wanted, func(s *slot, _ struct{}) bool { return s.announced == nil })
}

// catchUpKeys fetches the present state of those keys that are followed.
func (f *fetcher) catchUpKeys(ctx context.Context, keys []conf.Key) error {
	slots := f.slots.followed(keys)
	if len(slots) == 0 {
		return nil
	}
	return f.catchUp(ctx, slots)
}

// catchUp fetches the present state of slots, and shows all of it at once.
func (f *fetcher) catchUp(ctx context.Context, slots []*slot) error {
	fetched, failed := f.fetchAll(ctx, slots, f.calls.newestSeen())
	f.slots.mu.Lock()
	defer f.slots.mu.Unlock()
	newest := f.calls.newestSeen()
	for s, n := range fetched {
		if f.slots.learn(s, n, newest) && n.at.Compare(f.slots.position) > 0 {
			f.slots.unsync(s) // it is ahead of the other keys
		}
	}
	for s := range fetched {
		f.slots.show(s)
	}
	for s, err := range failed {
		if errors.Is(err, conf.ErrDenied) {
			f.refuse(s, err)
			f.slots.show(s)
		}
	}
	if len(failed) > 0 {
		f.log.Debug("some contents could not be fetched", "count", len(failed), "error", anyOf(failed))
	}
	return anyOf(failed)
}

// anyOf returns one of the errors, or nil if there are none.
func anyOf(failed map[*slot]error) error {
	for _, err := range failed {
		return err
	}
	return nil
}
