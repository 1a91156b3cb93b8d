package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// notes is a log that a test reads while it is written.
type notes struct {
	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func (n *notes) count(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.log.String(), text)
}

// hostOf returns a host on a listener of its own, with what limit makes, where it
// listens, and its log.
func hostOf(t *testing.T, limit func(*slog.Logger, *Node) *connLimit) (h *host, addr string, log *notes) {
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	log = new(notes)
	logger := slog.New(slog.NewTextHandler(log, nil))
	node := NewNode(srv)
	h = newHost(ln, http.HandlerFunc(node.serveHTTP), limit(logger, node), logger)
	h.http.ReadHeaderTimeout = 0 // those who wait in tests stay, however long all takes
	served := make(chan error, 1)
	h.start(served)
	t.Cleanup(func() {
		h.shutdown()
		<-served
	})
	return h, ln.Addr().String(), log
}

// Connections never take all files that the process may open: first none stays
// idle, then who comes is only told to come back later, then no more come in, and
// afterwards all is as before. Meanwhile the node can be asked whether it lives.
func TestL7_ConnectionsLeaveFiles(t *testing.T) {
	const few, most = 24, 30
	h, addr, log := hostOf(t, func(logger *slog.Logger, _ *Node) *connLimit {
		c := newConnLimit(1000, 1000, logger)
		c.maxIdle, c.most, c.addresses = few, most, budget.New(1000, 500)
		c.overLimit = budget.New(2*maxOverLimit, maxOverLimit)
		return c
	})
	patience := time.Minute
	open := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	get := func(conn net.Conn, path string) *http.Response {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return nil
		}
		_ = res.Body.Close()
		return res
	}
	// ask returns whether there was an answer, and whether the connection ends with it.
	ask := func(conn net.Conn) (answered, ends bool) {
		res := get(conn, "/v1/configs")
		if res == nil {
			return false, true
		}
		assert.Equal(t, http.StatusOK, res.StatusCode)
		return true, res.Close
	}
	settled := func(n int64) {
		t.Helper()
		require.Eventually(t, func() bool { return h.limit.conns.Load() == n }, patience, time.Millisecond)
	}

	var waiting []net.Conn // they are asked nothing
	for range few {
		waiting = append(waiting, open())
	}
	settled(few)
	last := waiting[len(waiting)-1]
	answered, ends := ask(last)
	assert.True(t, answered)
	assert.False(t, ends, "so many may stay")

	idle := open()
	answered, ends = ask(idle)
	assert.True(t, answered)
	assert.True(t, ends, "one more does not")
	settled(few)

	for range most - few {
		waiting = append(waiting, open())
	}
	settled(most)
	for _, probe := range []string{"/livez", "/readyz"} {
		res := get(open(), probe)
		require.NotNil(t, res)
		assert.Equal(t, http.StatusOK, res.StatusCode, "it is alive")
		assert.True(t, res.Close)
		settled(most)
	}
	res := get(open(), "/v1/configs")
	require.NotNil(t, res)
	assert.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	assert.NotEmpty(t, res.Header.Get("Retry-After"))
	assert.True(t, res.Close)
	settled(most)

	for range maxOverLimit {
		waiting = append(waiting, open())
	}
	settled(most + maxOverLimit)
	for range 3 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			continue // it was refused so soon
		}
		answered, _ = ask(conn)
		assert.False(t, answered, "there is no room")
		_ = conn.Close()
	}
	require.Eventually(t, func() bool { return log.count("connections are turned away") == 1 }, patience, time.Millisecond)
	answered, _ = ask(last)
	assert.True(t, answered, "those who are in are served")
	assert.Equal(t, 1, log.count("connections are turned away"))

	for _, conn := range waiting {
		_ = conn.Close()
	}
	settled(0)
	require.Eventually(t, func() bool { return log.count("connections are accepted again") > 0 }, patience, time.Millisecond)
	answered, ends = ask(open())
	assert.True(t, answered)
	assert.False(t, ends)
	assert.Equal(t, 1, log.count("connections are accepted again"))
}

// Whatever the limit, there is room for connections and for the rest.
func TestConnLimit(t *testing.T) {
	for files, want := range map[int64][2]int64{64: {38, 48}, 256: {153, 192}, 1024: {768, 960}, 20_000: {15_000, 18_750}} {
		c := newConnLimit(files, 1, nil)
		assert.Equal(t, want, [2]int64{c.maxIdle, c.most}, files)
	}
}

// A connection is a file under TLS too, and none in memory.
func TestIsFile(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	assert.False(t, isFile(near))
	assert.False(t, isFile(tls.Server(near, &tls.Config{})))
	assert.True(t, isFile(&net.TCPConn{}))
	assert.True(t, isFile(tls.Server(&net.TCPConn{}, &tls.Config{})))
	assert.True(t, isFile(overLimitConn{&net.TCPConn{}}))
}
