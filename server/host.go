package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits of every listener, so that slow or hostile peers cannot hold connections.
// A whole request has no limit: it would end parked polls. The transport's handler
// sets deadlines for each request.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	// writeTimeout is the time, from its request, that a peer has to read an answer
	// without a deadline of its own, such as the answer to a small read or net/http's
	// answer to a malformed request.
	writeTimeout = 15 * time.Second
)

// Limits of an HTTP/2 connection, which a listener with TLS may have. Data that no
// handler has read yet is in no budget, so it is kept small.
const (
	maxStreams  = 100       // requests under way
	maxFrame    = 16 << 10  // bytes of one frame, which is read into memory
	maxReceived = 128 << 10 // bytes of all bodies that no handler has read yet
	// pingAfter is the time without traffic after which a connection is pinged, and
	// pingTimeout is the time limit for the answer to the ping.
	pingAfter   = 30 * time.Second
	pingTimeout = 15 * time.Second
	// stallTimeout is the longest time that a peer may read nothing while data is written
	// to it.
	stallTimeout = 30 * time.Second
)

const (
	// lingerTime is the time for which connections are served after the listener has
	// closed, each until its next answer.
	lingerTime = 250 * time.Millisecond
	// shutdownTimeout is the time limit for requests under way to finish.
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

// checkClients makes h check the client certificate of each request.
func (h *host) checkClients(certificates *clientCertificates) {
	h.http.Handler = certificates.handler(h.http.Handler)
	h.http.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return certificates.mark(markOverLimit(ctx, conn), conn)
	}
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

// start serves in the background, and sends the error that ends it to served.
func (h *host) start(served chan<- error) {
	go func() { served <- h.http.Serve(h.listener) }()
}

// close ends all connections at once.
func (h *host) close() {
	_ = h.listener.Close()
	_ = h.http.Close()
}

// linger pauses for lingerTime, or until no connection is open. It counts steps
// instead of reading a clock: if the process was stopped for longer than lingerTime,
// its connections still get time to end.
func (h *host) linger(pause func(time.Duration)) {
	const steps = 100
	for range steps {
		pause(lingerTime / steps) // first: a connection may not be counted yet
		if h.conns.Load() == 0 {
			return
		}
	}
}

// shutdown closes the listener, then each connection between two requests.
//
// http.Server.Shutdown alone drops a request that it has read but not begun. So
// connections first have time to end with an answer. The connections that are then
// left are idle.
func (h *host) shutdown() {
	h.closing.Store(true)
	// Shutdown closes it again, and ignores the error of that.
	_ = h.listener.Close()
	h.linger(time.Sleep)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := h.http.Shutdown(ctx); err != nil && ctx.Err() != nil {
		h.logger.Warn("requests cut off", "after", shutdownTimeout)
		_ = h.http.Close()
	}
}
