package httpserve

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/internal/redact"
)

// Outcome is the result of a request.
type Outcome struct {
	Status int
	Bytes  int64 // of the answer's body
	Err    error // or nil if the request succeeded
	Poll   bool  // the request may have waited

	route    string
	notified time.Time // when the server learned of the change that ended a wait
}

// statusGone is recorded for a request whose peer did not wait for the answer. That is no
// failure, and HTTP has no status for it.
const statusGone = 499

// record reports a request to the observer and the log.
func (h *Handler) record(r *http.Request, out *Outcome, start time.Time) {
	if start.IsZero() && out.Err == nil {
		return
	}
	if out.Err != nil && r.Context().Err() != nil {
		out.Status = statusGone
	}
	var took time.Duration
	if !start.IsZero() {
		took = time.Since(start)
	}
	if h.Observe != nil {
		h.Observe(observation(r, out, took))
	}
	h.logRequest(r, out, took)
}

// trouble is a kind of requests that do not succeed. One request of each kind is logged a
// second, because thousands would say the same while the storage is down.
type trouble struct {
	route  string
	status int
}

func (h *Handler) logRequest(r *http.Request, out *Outcome, took time.Duration) {
	level, message := slog.LevelDebug, "request"
	switch {
	case out.Status == statusGone:
		message = "peer has gone"
	case out.Err != nil && out.Status >= 500:
		level, message = slog.LevelWarn, "request failed"
	case out.Err != nil && out.Status != http.StatusNotFound:
		level, message = slog.LevelInfo, "request refused"
	}
	var others int64 // requests of its kind that were not logged before it
	if level > slog.LevelDebug {
		events, _ := h.troubles.LoadOrStore(trouble{out.route, out.Status}, new(lograte.Events))
		var now bool
		if others, now = events.(*lograte.Events).Log(); !now {
			level = slog.LevelDebug
		}
	}
	ctx := context.WithoutCancel(r.Context())
	if !h.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", Clip(r.Method)), slog.String("path", Clip(r.URL.Path)), slog.String("address", r.RemoteAddr),
		slog.Int("status", out.Status), slog.Int64("bytes", out.Bytes), slog.Duration("took", took),
	}
	if out.Err != nil {
		attrs = append(attrs, slog.String("error", redact.Tokens(out.Err.Error())), slog.Int64("others", others))
	}
	h.Log.LogAttrs(ctx, level, message, attrs...)
}
