package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport"
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
		r.publish(conf.NewKey("", "a"), "x")
		lasted := make(chan time.Duration, conns)
		for range conns {
			conn, err := r.listener.DialContext(t.Context(), "", "")
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
		conn, err := r.listener.DialContext(t.Context(), "", "")
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
		conn, err := r.listener.DialContext(t.Context(), "", "")
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

// Nor by a body that never comes, which no page has a use for.
func TestX20_PagesWaitForNoBody(t *testing.T) {
	for _, line := range []string{
		"GET /livez", "POST /livez", "GET /readyz", "GET /metrics", "GET /version", "GET /v1/peer/nudge", "POST /v1/peer/nudge",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := run(t, server.WithPeers(transport.Static(), cluster.Secret{}))
			conn, err := r.listener.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, line+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n")
			require.NoError(t, err)
			begun := time.Now()
			answer, err := io.ReadAll(conn)
			assert.NoError(t, err, line)
			assert.Contains(t, string(answer), "HTTP/1.1 ", line)
			assert.LessOrEqual(t, time.Since(begun), 10*time.Second, line)
		})
	}
}

// Whoever comes cannot fill the log with handshakes that fail.
func TestFailedHandshakesAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		listener := memnet.Listen()
		run(t, server.WithListener(tls.NewListener(listener, serverTLS(t))), server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 50 {
			conn, err := listener.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
			_ = conn.Close()
		}
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "connection failed"))
		assert.NotContains(t, log.String(), "TLS handshake error")
	})
}

// A handler that panics over HTTP/2 is a fault of the program's, and each is logged.
func TestPanicsOverHTTP2AreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		listener := memnet.Listen()
		run(t, server.WithListener(tls.NewListener(listener, serverTLS(t))), server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
			server.WithHandler("/panics", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("here") })))
		conn, err := listener.DialContext(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		p := greet(t, conn, 1<<16)
		const panics = 3
		for i := range uint32(panics) {
			require.NoError(t, p.get(2*i+1, "/panics"))
			for kind := byte(0); kind != frameReset; {
				kind, _, _, err = p.next()
				require.NoError(t, err)
			}
		}
		synctest.Wait() // it is logged after the frame that resets the stream
		assert.Equal(t, panics, strings.Count(log.String(), `level=WARN msg="http2: panic serving `), log.String())
	})
}

// Nor does the deadline of a page end what is asked on its connection later, and what
// the caller serves beside the node has none.
func TestPagesLeaveTheirConnectionsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, server.WithHandler("/slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Hour)
		})))
		r.publish(conf.NewKey("g", "a"), "x")
		conn, err := r.listener.DialContext(t.Context(), "", "") // a client of net/http would try again on another one
		require.NoError(t, err)
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for _, target := range []string{"/livez", "/v1/configs/public/g/a", "/metrics", "/slow", "/v1/position", "/livez", "/v1/configs"} {
			_, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			require.NoError(t, err, target)
			res, err := http.ReadResponse(answers, nil)
			require.NoError(t, err, target)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err, target)
			_ = res.Body.Close()
			assert.Equal(t, http.StatusOK, res.StatusCode, target)
			time.Sleep(time.Minute)
		}
	})
}

// A page that is read slowly, but in time, ends nothing that is asked on its
// connection later.
func TestAPageThatIsReadSlowlyLeavesItsConnectionAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		conn, err := r.listener.DialContext(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for _, target := range []string{"/livez", "/v1/changes?wait=1s"} {
			_, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			require.NoError(t, err, target)
			time.Sleep(8 * time.Second)
			res, err := http.ReadResponse(answers, nil)
			require.NoError(t, err, target)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err, target)
			_ = res.Body.Close()
			assert.Equal(t, http.StatusOK, res.StatusCode, target)
		}
	})
}

// What is served beside a node has limits for bodies and answers too.
func TestX20_Serve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- server.Serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				assert.Error(t, err)
			}), nil)
		}()
		conn, err := listener.DialContext(ctx, "", "")
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
