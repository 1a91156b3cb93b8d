package server

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// counted returns what a counter has counted.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	require.NoError(t, reg.Register(c))
	families, err := reg.Gather()
	require.NoError(t, err)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// One address cannot have all connections: others come in however many it opens.
// Whoever else comes from that address is let in for an answer by turns, which says
// to come back later, and is served again once there is room.
func TestL7_OneAddressHasItsShareOfConnections(t *testing.T) {
	const most, each = 40, 20
	h, addr, log := hostOf(t, func(logger *slog.Logger, node *Node) *connLimit {
		c := newConnLimit(most*4/3, 1000, logger)
		require.EqualValues(t, most, c.most)
		c.refused = node.metrics.refused
		return c
	})
	patience := time.Minute
	dial := func(source string) (net.Conn, error) {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		return d.DialContext(context.Background(), "tcp", addr)
	}
	open := func(source string) net.Conn {
		conn, err := dial(source)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	// ask returns the status of an answer, 0 where there is none.
	ask := func(conn net.Conn, path string) int {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	settled := func(n int64) {
		t.Helper()
		require.Eventually(t, func() bool { return h.limit.conns.Load() == n }, patience, time.Millisecond)
	}

	const evil, good = "127.0.0.2", "127.0.0.3"
	began := time.Now()
	var held []net.Conn
	for range each {
		held = append(held, open(evil))
	}
	settled(each)
	assert.Zero(t, counted(t, h.limit.refused))
	for range 2 {
		assert.Equal(t, http.StatusTooManyRequests, ask(open(evil), "/v1/configs"))
		assert.Equal(t, http.StatusOK, ask(open(evil), "/livez"))
		settled(each)
	}
	for range maxOverLimit {
		if conn, err := dial(evil); err == nil { // else it was closed so soon
			held = append(held, conn)
			defer conn.Close()
		}
	}
	settled(each + maxOverLimit/2)
	require.Eventually(t, func() bool { return counted(t, h.limit.refused) >= 4+maxOverLimit }, patience, time.Millisecond)
	if conn, err := dial(evil); err == nil {
		assert.Zero(t, ask(conn, "/v1/configs"), "it fills what there is for one answer too")
		_ = conn.Close()
	}
	logged := log.count("one address has as many as it may")
	assert.Positive(t, logged)
	assert.LessOrEqual(t, logged, 1+int(time.Since(began)/lograte.Every))

	for range each / 2 {
		conn := open(good)
		assert.Equal(t, http.StatusOK, ask(conn, "/v1/configs"), "others come in")
		held = append(held, conn)
	}
	assert.Zero(t, log.count("may not open many more files"))

	for _, conn := range held {
		_ = conn.Close()
	}
	settled(0)
	assert.Equal(t, http.StatusOK, ask(open(evil), "/v1/configs"))
	assert.EqualValues(t, 0, h.limit.overLimit.Used())
}

// A node has the limit that it is told, and none that lets nobody in.
func TestAddressConnectionsAreASetting(t *testing.T) {
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, NewNode(srv, WithListener(ln), WithAddressConnections(0)).Run(t.Context()), conf.ErrInvalid)
	_ = ln.Close()

	srv, err = diamond.NewServer(memstore.New())
	require.NoError(t, err)
	ln, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	node := NewNode(srv, WithListener(ln), WithAddressConnections(3))
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	var conns []net.Conn
	for range 5 {
		conn, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	assert.Eventually(t, func() bool { return counted(t, node.metrics.refused) == 2 }, time.Minute, time.Millisecond)
	for _, conn := range conns {
		_ = conn.Close()
	}
	stop()
	require.NoError(t, <-ended)
}
