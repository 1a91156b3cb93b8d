package httptransport

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Poll implements [diamond.Transport].
func (t *Transport) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	body := pollBody{
		Set:      hex.EncodeToString(req.Set[:]),
		Position: req.Position.String(),
		Keys:     make([]string, len(req.Keys)),
		Held:     make([]heldBody, len(req.Held)),
	}
	for i, key := range req.Keys {
		body.Keys[i] = key.String()
	}
	for i, held := range req.Held {
		body.Held[i] = heldBody{held.Key.String(), held.Revision, held.MD5}
	}
	if req.Wait > 0 {
		body.Wait = req.Wait.String()
	}
	var out conf.PollResponse
	ask := &request{op: "poll", method: http.MethodPost, path: pathPoll, client: req.Client, wait: waitOf(req.Wait)}
	ask.json(body)
	err := t.do(ctx, ask, func(res *http.Response) (err error) {
		if out.Position, err = position(res); err != nil {
			return err
		}
		out.Resync, out.Draining, out.Stale = flag(res, hResync), flag(res, hDraining), stale(res)
		return t.frames(res, func(f *frameReader) error {
			var line pollLine
			content, err := f.next(&line)
			if err != nil {
				return err
			}
			return line.addTo(&out, content)
		})
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// waitOf returns the longest time that a server waits if it is asked to wait for d.
func waitOf(d time.Duration) time.Duration { return min(max(d, 0), conf.MaxWait) }

// json sets the body to v.
func (r *request) json(v any) {
	raw, _ := json.Marshal(v) // strings, numbers and flags only
	r.body = func() io.Reader { return bytes.NewReader(raw) }
	r.length, r.media = int64(len(raw)), valueJSON
}

// Report implements [diamond.Transport].
func (t *Transport) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	body := reportsBody{Reports: make([]reportBody, len(req.Reports))}
	for i, r := range req.Reports {
		body.Reports[i] = reportBody{r.Key.String(), r.Revision, r.Applied, r.Reason}
	}
	ask := &request{op: "report", method: http.MethodPost, path: pathReports, client: req.Client}
	ask.json(body)
	if err := t.do(ctx, ask, func(*http.Response) error { return nil }); err != nil {
		return nil, err
	}
	return &conf.ReportResponse{}, nil
}
