package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/transport/httptransport"
)

// accessLog writes one line for each request, never with a content.
type accessLog struct{ logger *slog.Logger }

func (l accessLog) observe(o httptransport.Observation) {
	level := accessLevel(o)
	ctx := context.Background()
	if !l.logger.Enabled(ctx, level) {
		return
	}
	l.logger.LogAttrs(ctx, level, "request",
		slog.String("method", o.Method),
		slog.String("route", o.Route),
		slog.Int("status", o.Status),
		slog.Float64("duration_ms", float64(o.Duration)/float64(time.Millisecond)),
		slog.Int64("bytes", o.Bytes),
	)
}

// accessLevel keeps what happens all the time at debug: a line for each read
// costs a sixth of the rate.
func accessLevel(o httptransport.Observation) slog.Level {
	switch {
	case o.Status >= http.StatusInternalServerError:
		return slog.LevelWarn
	case o.Poll || o.Method == http.MethodGet || o.Method == http.MethodHead:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
