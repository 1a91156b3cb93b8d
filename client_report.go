package diamond

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	reportTogether = 20 * time.Millisecond // how long a report waits for others to go with it
	reportAgain    = 4 * time.Minute       // servers forget, and a new one does not know
	reportsAtOnce  = 1000                  // in one request: transports bound its size
)

// report has the server told what became of the value of s. mu must be held.
func (c *client) report(s *keySlot, r Report) {
	if r.Revision > 0 && r != s.reported {
		s.reported = r
		c.reports.Put(s.key, r)
	}
}

// runReports sends reports, the latest of each key, and now and then all of them again.
func (c *client) runReports(ctx context.Context) {
	var pause backoff.Backoff
	again := time.Now().Add(backoff.Jitter(reportAgain, 0.1))
	for {
		waiting, cancel := context.WithDeadline(ctx, again)
		err := c.reports.Wait(waiting)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			again = time.Now().Add(backoff.Jitter(reportAgain, 0.1))
			c.repeatReports()
			continue
		}
		if backoff.Sleep(ctx, reportTogether) != nil {
			return
		}
		taken := c.reports.Take()
		if len(taken) == 0 {
			continue
		}
		if err := c.sendReports(ctx, taken); err == nil {
			pause.Reset()
			continue
		} else if c.reports.PutBack(taken); pause.Wait(ctx, retryAfterOf(err)) != nil {
			return
		}
	}
}

// repeatReports reports again what became of all values that there are listeners of.
func (c *client) repeatReports() {
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	for _, s := range c.slots.byKey.All() {
		if len(s.listeners) > 0 && s.reported.Revision > 0 && s.value.presence == present {
			c.reports.Put(s.key, s.reported)
		}
	}
}

// sendReports sends reports, a bounded number at a time, and takes out of them
// those that are done with: a server has them, or will never take them.
func (c *client) sendReports(ctx context.Context, reports map[Key]Report) error {
	for some := range slices.Chunk(slices.Collect(maps.Values(reports)), reportsAtOnce) {
		asking, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
		_, err := c.calls.transport.Report(asking, &ReportRequest{Client: c.calls.info, Reports: some})
		cancel()
		if err != nil && !isPermanent(err) {
			return err
		}
		for _, r := range some {
			delete(reports, r.Key)
		}
	}
	return nil
}
