package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/server"
)

// drip writes s a byte at a time, and reports how long the other end let it.
func drip(conn net.Conn, s string, every time.Duration) time.Duration {
	begun := time.Now()
	for i := range len(s) {
		if _, err := conn.Write([]byte{s[i]}); err != nil {
			break
		}
		time.Sleep(every) // real time: never, all callers are in a bubble
	}
	return time.Since(begun)
}

// Peers that send headers a byte at a time are shown out, and others do not notice.
func TestX20_SlowHeaders(t *testing.T) {
	conns := campaign.Scale(t, 500, 5000)
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		r.publish(diamond.NewKey("", "a"), "x")
		lasted := make(chan time.Duration, conns)
		for range conns {
			conn, err := r.pipes.dial(t.Context(), "", "")
			require.NoError(t, err)
			go func() {
				defer conn.Close()
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				lasted <- drip(conn, "GET /livez HTTP/1.1\r\nHost: node\r\nX-Slow: yes\r\n\r\n", 10*time.Second)
			}()
		}
		synctest.Wait()
		res, body := r.get("/diamond-server/config?dataId=a&group=DEFAULT_GROUP")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Equal(t, "x", body)
		for range conns {
			assert.LessOrEqual(t, <-lasted, 20*time.Second)
		}
	})
}

// A connection on which nothing happens ends.
func TestX20_IdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		conn, err := r.pipes.dial(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: node\r\n\r\n") }()
		begun := time.Now()
		_, err = io.Copy(io.Discard, conn)
		assert.NoError(t, err)
		assert.LessOrEqual(t, time.Since(begun), 3*time.Minute)
	})
}

// Nor can a peer hold a page by not reading it.
func TestX20_UnreadPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		conn, err := r.pipes.dial(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		content, err := io.ReadAll(conn)
		assert.NoError(t, err)
		assert.Empty(t, content, "it was closed before it was read")
	})
}

// What is served beside a node has limits for bodies and answers too.
func TestX20_Serve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- server.Serve(ctx, pipes, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				assert.Error(t, err)
			}), nil)
		}()
		conn, err := pipes.dial(ctx, "", "")
		require.NoError(t, err)
		defer conn.Close()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		_, err = io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: node\r\nContent-Length: 100\r\n\r\n")
		require.NoError(t, err)
		assert.LessOrEqual(t, drip(conn, strings.Repeat("x", 99), time.Second), 15*time.Second)
		stop()
		assert.NoError(t, <-ended)
	})
}
