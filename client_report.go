package diamond

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

const (
	reportTogether = 20 * time.Millisecond // how long a report waits for others to go with it
	reportAgain    = 4 * time.Minute       // servers forget, and a new one does not know
	reportsAtOnce  = 1000                  // in one request: transports bound its size
)

// reporter tells servers what became of values.
type reporter struct {
	calls *calls
	slots *slots
	queue *coalesce.Queue[Key, Report]
}

func newReporter(calls *calls, slots *slots) *reporter {
	return &reporter{calls: calls, slots: slots, queue: coalesce.New[Key, Report]()}
}

// report has the server told what became of the value of s. mu must be held.
func (r *reporter) report(s *slot, outcome Report) {
	if outcome.Revision > 0 && outcome != s.reported {
		s.reported = outcome
		r.queue.Put(s.key, outcome)
	}
}

// run sends reports, the latest of each key, and now and then all of them again.
func (r *reporter) run(ctx context.Context) {
	var pause backoff.Backoff
	again := time.Now().Add(backoff.Jitter(reportAgain, 0.1))
	for {
		waiting, cancel := context.WithDeadline(ctx, again)
		err := r.queue.Wait(waiting)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			again = time.Now().Add(backoff.Jitter(reportAgain, 0.1))
			r.repeat()
			continue
		}
		if backoff.Sleep(ctx, reportTogether) != nil {
			return
		}
		taken := r.queue.Take()
		if len(taken) == 0 {
			continue
		}
		if err := r.send(ctx, taken); err == nil {
			pause.Reset()
			continue
		} else if r.queue.PutBack(taken); pause.Wait(ctx, retryAfterOf(err)) != nil {
			return
		}
	}
}

// repeat reports again what became of all values that there are listeners of.
func (r *reporter) repeat() {
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	for _, s := range r.slots.byKey.All() {
		if len(s.listeners) > 0 && s.reported.Revision > 0 && s.value.presence == present {
			r.queue.Put(s.key, s.reported)
		}
	}
}

// send sends reports, a bounded number at a time, and takes out of them
// those that are done with: a server has them, or will never take them.
func (r *reporter) send(ctx context.Context, reports map[Key]Report) error {
	for some := range slices.Chunk(slices.Collect(maps.Values(reports)), reportsAtOnce) {
		asking, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
		_, err := r.calls.transport.Report(asking, &ReportRequest{Client: r.calls.info, Reports: some})
		cancel()
		if err != nil && !isPermanent(err) {
			return err
		}
		for _, done := range some {
			delete(reports, done.Key)
		}
	}
	return nil
}
