package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// readTimeout is the time limit for a whole request to arrive if handlers answer promptly.
// Hosts of polls, which wait, have no such limit.
const readTimeout = 10 * time.Second

// Serve serves handler on listener until ctx ends. Then it finishes the requests
// under way, within ten seconds, and returns nil. It closes the listener. A nil logger
// logs nowhere.
//
// Handler must answer promptly, as a name server does: a request must arrive within
// 10 s, and its answer must be read within 30 s after that.
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
