package server

import (
	"io"
	"log/slog"
	"strings"

	"github.com/linnaname/gdiamond/internal/lograte"
)

// failures is the writer of an HTTP server's log. Anyone who can reach the listener
// can make handshakes and HTTP/2 connections fail, so at most one such failure a
// second is logged.
type failures struct {
	logger  *slog.Logger
	message string
	others  io.Writer // takes the lines that peers cannot cause at will
	events  lograte.Events
}

// Write implements io.Writer.
func (f *failures) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	what, handshake := strings.CutPrefix(text, "http: TLS handshake error from ")
	over2 := strings.HasPrefix(text, "http2: ") && !strings.HasPrefix(text, "http2: panic ") // a panic is of a handler
	if !handshake && !over2 && !strings.HasPrefix(text, "timeout waiting for PING ") {
		return f.others.Write(line)
	}
	if others, ok := f.events.Log(); ok {
		f.logger.Info(f.message, "error", what, "others", others)
	}
	return len(line), nil
}
