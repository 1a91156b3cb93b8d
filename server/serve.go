package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of every listener, so that slow or hostile peers cannot hold it. There
// is no limit for a whole answer: it would cut parked polls. The transport's
// handler sets deadlines request by request.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10

	// For handlers that answer promptly there is one for all, which is simpler.
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second

	// shutdownTimeout is how long requests under way may take to finish.
	shutdownTimeout = 10 * time.Second
)

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
	httpServer := newHTTPServer(handler, logger)
	httpServer.ReadTimeout, httpServer.WriteTimeout = readTimeout, writeTimeout
	defer httpServer.Close()
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(keepAliveListener{listener}) }()
	select {
	case <-ctx.Done():
		shutdown(httpServer, logger)
		<-served
		return nil
	case err := <-served:
		return fmt.Errorf("server: %w", err)
	}
}

func newHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

func shutdown(httpServer *http.Server, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := httpServer.Shutdown(ctx); err != nil {
		logger.Warn("requests cut off", "after", shutdownTimeout)
		httpServer.Close()
	}
}
