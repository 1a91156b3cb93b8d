package diamond

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// reportTogether is how long a report waits for others to go with it.
const reportTogether = 20 * time.Millisecond

// report has the server told what became of the value of s. mu must be held.
func (c *client) report(s *keySlot, r Report) {
	if r.Revision > 0 && r != s.reported {
		s.reported = r
		c.reports.Put(s.key, r)
	}
}

// runReports sends reports, the latest of each key.
func (c *client) runReports(ctx context.Context) {
	var pause backoff.Backoff
	for c.reports.Wait(ctx) == nil {
		if backoff.Sleep(ctx, reportTogether) != nil {
			return
		}
		taken := c.reports.Take()
		if len(taken) == 0 {
			continue
		}
		err := c.sendReports(ctx, taken)
		if err == nil || final(err) {
			pause.Reset()
			continue
		}
		c.reports.PutBack(taken)
		if pause.Wait(ctx, retryAfterOf(err)) != nil {
			return
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
