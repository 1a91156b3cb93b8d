package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// readTimeout is how long all of a request may take to arrive where handlers answer
// promptly. Polls that wait do without.
const readTimeout = 10 * time.Second

// Serve serves handler on listener until ctx ends; then it finishes the requests
// under way, for ten seconds at most, and returns nil. It closes the listener. A
// nil logger logs nowhere.
//
// It is for what runs beside a node and answers promptly, such as a name server:
// a request must have arrived within 10 s, and its answer have been read within
// 30 s after that.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	h := newHost(keepAliveListener{listener}, handler, newConnLimit(openFiles(), DefaultAddressConnections, logger), logger)
	h.http.ReadTimeout = readTimeout
	served := make(chan error, 1)
	h.start(served)
	select {
	case <-ctx.Done():
		h.shutdown()
		<-served
		return nil
	case err := <-served:
		h.shutdown()
		return fmt.Errorf("server: %w", err)
	}
}
