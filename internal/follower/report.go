package follower

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/coalesce"
)

const (
	reportTogether = 20 * time.Millisecond // for which a report waits for others
	reportAgain    = 4 * time.Minute       // because servers forget reports, and new servers have none
	reportsAtOnce  = 1000                  // in one request, whose size transports limit
)

// reporter tells servers which values listeners applied or rejected.
type reporter struct {
	calls *calls
	slots *slots
	queue *coalesce.Queue[conf.Key, conf.Report]
}

func newReporter(calls *calls, slots *slots) *reporter {
	return &reporter{calls: calls, slots: slots, queue: coalesce.New[conf.Key, conf.Report]()}
}

// report queues the outcome for the present value of s. The slots' mu must be held.
func (r *reporter) report(s *slot, outcome conf.Report) {
	if outcome.Revision > 0 && outcome != s.reported {
		s.reported = outcome
		r.queue.Put(s.key, outcome)
	}
}

// run sends the latest report of each key, and every reportAgain all of them again.
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

// repeat queues the last report of every key that has listeners.
func (r *reporter) repeat() {
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	for _, s := range r.slots.byKey.All() {
		if len(s.listeners) > 0 && s.reported.Revision > 0 && s.value.presence == present {
			r.queue.Put(s.key, s.reported)
		}
	}
}

// send sends reports, at most reportsAtOnce in a request. It removes those that a
// server has accepted or will never accept.
func (r *reporter) send(ctx context.Context, reports map[conf.Key]conf.Report) error {
	for some := range slices.Chunk(slices.Collect(maps.Values(reports)), reportsAtOnce) {
		asking, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
		_, err := r.calls.transport.Report(asking, &conf.ReportRequest{Client: r.calls.info, Reports: some})
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
