package diamond

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	reportTogether = 20 * time.Millisecond // how long a report waits for others to go with it
	reportAgain    = 4 * time.Minute       // servers forget, and a new one does not know
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
		if err := c.sendReports(ctx, taken); err == nil || final(err) {
			pause.Reset()
			continue
		} else if c.reports.PutBack(taken); pause.Wait(ctx, retryAfterOf(err)) != nil {
			return
		}
	}
}

// repeatReports reports again what became of all values that there are listeners of.
func (c *client) repeatReports() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.slots.All() {
		if len(s.listeners) > 0 && s.reported.Revision > 0 && s.value.presence == present {
			c.reports.Put(s.key, s.reported)
		}
	}
}

func (c *client) sendReports(ctx context.Context, reports map[Key]Report) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errTimeout)
	defer cancel()
	req := &ReportRequest{Client: c.info, Reports: make([]Report, 0, len(reports))}
	for _, r := range reports {
		req.Reports = append(req.Reports, r)
	}
	_, err := c.transport.Report(ctx, req)
	return err
}
