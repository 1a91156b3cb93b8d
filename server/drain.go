package server

import (
	"net/http"
	"time"
)

const (
	// unregisterTimeout is how long a shutdown waits for registries that do not answer.
	unregisterTimeout = time.Second
	// lingerTime is for how long a draining node still takes requests, each of
	// which ends its connection. Connections in use end between two requests
	// then, and not while the next one is on its way.
	lingerTime = 250 * time.Millisecond
)

func (n *Node) drain(httpServer *http.Server, unregister func()) {
	logger := n.config.logger
	logger.Info("draining", "waiters", n.srv.Status().Waiters)
	begun := time.Now()

	n.leaving.Store(true)
	unregister()
	time.Sleep(n.config.shutdownDelay)

	n.closing.Store(true)
	n.srv.Drain()
	time.Sleep(lingerTime)

	shutdown(httpServer, logger)
	logger.Info("drained", "took", time.Since(begun).Round(time.Millisecond))
}
