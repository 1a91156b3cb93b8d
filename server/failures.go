package server

import (
	"io"
	"log/slog"
	"strings"

	"github.com/linnaname/gdiamond/internal/lograte"
)

// failures takes what an HTTP server logs. Whoever can reach its listener can have
// handshakes and connections over HTTP/2 fail: of those it logs no more than one a
// second.
type failures struct {
	logger  *slog.Logger
	message string
	others  io.Writer // of lines that peers cannot cause at will
	events  lograte.Events
}

// Write implements io.Writer.
func (f *failures) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	what, handshake := strings.CutPrefix(text, "http: TLS handshake error from ")
	over2 := strings.HasPrefix(text, "http2: ") && !strings.HasPrefix(text, "http2: panic ") // that is a handler's
	if !handshake && !over2 && !strings.HasPrefix(text, "timeout waiting for PING ") {
		return f.others.Write(line)
	}
	if others, ok := f.events.Log(); ok {
		f.logger.Info(f.message, "error", what, "others", others)
	}
	return len(line), nil
}
