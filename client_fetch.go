package diamond

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

const (
	// fetchTogether is how many contents that one poll named are fetched at a time.
	fetchTogether = 8
	// contentTimeout is for how long one may be on its way, once it has shown
	// that it takes long: a large one over a slow line does.
	contentTimeout = time.Minute
)

// fetcher fetches contents of keys that are followed.
type fetcher struct {
	calls  *calls
	slots  *slots
	refuse func(s *slot, err error) // see [refusals.refuse]
	log    *slog.Logger
	// missing are contents that a poll named and that could not be fetched at once,
	// or that have come or been superseded since.
	missing *coalesce.Queue[*slot, struct{}]
}

func newFetcher(calls *calls, slots *slots, refuse func(*slot, error), log *slog.Logger) *fetcher {
	return &fetcher{calls: calls, slots: slots, refuse: refuse, log: log, missing: coalesce.New[*slot, struct{}]()}
}

// fetchAll fetches several slots in parallel, each at least as of after, and
// returns those that could be before ctx ends, and why others could not.
func (f *fetcher) fetchAll(ctx context.Context, slots []*slot, after Position) (fetched map[*slot]update, failed map[*slot]error) {
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

// run fetches the contents that a poll named and that could not be
// fetched then, until they are here or are superseded. Each comes when it
// comes: one that takes long does not hold up the others of its round.
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

// stillMissing takes those out of wanted whose content is here or superseded.
func (f *fetcher) stillMissing(wanted map[*slot]struct{}) {
	f.slots.mu.Lock()
	defer f.slots.mu.Unlock()
	maps.DeleteFunc(wanted, func(s *slot, _ struct{}) bool { return s.announced == nil })
}

// catchUpKeys fetches the present state of those of keys that are followed.
func (f *fetcher) catchUpKeys(ctx context.Context, keys []Key) error {
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
			f.slots.unsync(s) // it is ahead of the others
		}
	}
	for s := range fetched {
		f.slots.show(s)
	}
	for s, err := range failed {
		if errors.Is(err, ErrDenied) {
			f.refuse(s, err)
			f.slots.show(s)
		}
	}
	if len(failed) > 0 {
		f.log.Debug("some contents could not be fetched", "count", len(failed), "error", anyOf(failed))
	}
	return anyOf(failed)
}

// anyOf returns one of the errors; nil: there are none.
func anyOf(failed map[*slot]error) error {
	for _, err := range failed {
		return err
	}
	return nil
}
