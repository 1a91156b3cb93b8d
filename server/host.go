package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits of every listener, so that slow or hostile peers cannot hold it. There
// is none for a whole request: it would cut parked polls. The transport's handler
// sets deadlines request by request.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	// writeTimeout is how long after its request a peer may take to read an answer
	// that has no deadline of its own, such as that to a small read or net/http's to
	// what is no request.
	writeTimeout = 15 * time.Second
)

// Limits of a connection over HTTP/2, which a listener's own TLS may bring. What is
// received before a handler reads it is in no budget, so there is little of it.
const (
	maxStreams  = 100       // requests under way
	maxFrame    = 16 << 10  // bytes of one frame, which is read into memory
	maxReceived = 128 << 10 // bytes of all bodies that no handler has read yet
	// pingAfter is how long a connection with nothing to hear is left alone, and
	// pingTimeout how long the answer to a ping may take.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	// stallTimeout is for how long a peer may read nothing of what is written to it.
	stallTimeout = 30 * time.Second
)

const (
	// lingerTime is for how long connections that are open when the listener
	// closes are served on, each until its next answer.
	lingerTime = 250 * time.Millisecond
	// shutdownTimeout is how long requests under way may take to finish.
	shutdownTimeout = 10 * time.Second
)

// host is an HTTP server that can end without failing a request.
type host struct {
	listener net.Listener
	http     *http.Server
	logger   *slog.Logger
	conns    atomic.Int64 // open connections
	limit    *connLimit
	closing  atomic.Bool // each connection ends with its next answer
}

func newHost(listener net.Listener, handler http.Handler, limit *connLimit, logger *slog.Logger) *host {
	h := &host{logger: logger, limit: limit}
	h.listener = limitedListener{listener, limit}
	h.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h.closing.Load() || h.limit.nearLimit() || isOverLimit(r.Context()) {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerConnection: maxReceived,
			MaxReceiveBufferPerStream:     maxReceived,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			WriteByteTimeout:              stallTimeout,
		},
		ErrorLog:    slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ConnState:   h.count,
		ConnContext: markOverLimit,
	}
	h.http.ErrorLog.SetOutput(&failures{logger: logger, message: "connection failed", others: h.http.ErrorLog.Writer()})
	return h
}

func (h *host) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		h.conns.Add(1)
		h.limit.opened(conn)
	case http.StateClosed, http.StateHijacked:
		h.conns.Add(-1)
		h.limit.closed(conn)
	}
}

// start serves in the background. The channel gets why that has ended.
func (h *host) start(served chan<- error) {
	go func() { served <- h.http.Serve(h.listener) }()
}

// close ends all at once.
func (h *host) close() {
	_ = h.listener.Close()
	_ = h.http.Close()
}

// linger pauses for lingerTime, or until no connection is open. It counts steps
// and does not look at a clock: where the process was stopped for longer than all
// of them take, its connections still get their turns.
func (h *host) linger(pause func(time.Duration)) {
	const steps = 100
	for range steps {
		pause(lingerTime / steps) // at first for a connection that is not counted yet
		if h.conns.Load() == 0 {
			return
		}
	}
}

// shutdown closes the listener, then each connection between two requests.
//
// http.Server.Shutdown alone drops a request that it has read but not begun. So
// connections are first given time to end with an answer; those that are still
// there after that are idle.
func (h *host) shutdown() {
	h.closing.Store(true)
	// A second close, by Shutdown, is the one whose error says nothing.
	_ = h.listener.Close()
	h.linger(time.Sleep)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := h.http.Shutdown(ctx); err != nil && ctx.Err() != nil {
		h.logger.Warn("requests cut off", "after", shutdownTimeout)
		_ = h.http.Close()
	}
}
