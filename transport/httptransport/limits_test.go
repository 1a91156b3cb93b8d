package httptransport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// X19: what is over a limit gets the right code, before it is read, and the
// connection is closed where something is left unread.
func TestX19_Limits(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	head := func(method, target string, length int64) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n", method, target, addr, length)
	}
	// None of these sends its body: who waited for it would wait for ever.
	for _, r := range []struct {
		raw, number string
		status      int
	}{
		{head("PUT", one, protocoltest.MaxContent+1), "1048576", 413},
		{head("POST", "/v1/changesets", 1<<40), "bytes", 413},
		{head("POST", "/v1/poll", 1<<40), "33554432", 413},
		{head("POST", "/v1/reports", 1<<40), "1048576", 413},
		{head("POST", "/diamond-server/publishConfig", 1<<40), "bytes", 413},
		{head("POST", "/diamond-server/getProbeModify", 1<<40), "4194304", 413},
		{"GET " + one + "?" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\nHost: " + addr + "\r\n\r\n", "8192", 414},
	} {
		res, body := protocoltest.Exchange(t, addr, r.raw)
		assert.Equal(t, r.status, res.StatusCode, r.raw[:40])
		assert.Contains(t, body, r.number, r.raw[:40])
		assert.True(t, res.Close, r.raw[:40])
	}
	// A length that is not said is counted.
	chunk := strings.Repeat("x", 64<<10)
	endless := "PUT " + one + " HTTP/1.1\r\nHost: " + addr + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk), protocoltest.MaxContent/len(chunk)+1)
	res, _ := protocoltest.Exchange(t, addr, endless)
	assert.Equal(t, 413, res.StatusCode)
	assert.True(t, res.Close)
	assert.Zero(t, c.Srv.Status().Keys)

	var many strings.Builder
	for i := range conf.MaxChanges + 1 {
		fmt.Fprintf(&many, `{"op":"publish","key":"k%d","length":1}`+"\nx\n", i)
	}
	w := c.Ask("POST", "/v1/changesets", many.String())
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), "1000")
	w = c.Ask("GET", "/v1/configs?limit=5000", "")
	assert.Equal(t, 200, w.Code, "shortened to a page")
	w = c.Ask("GET", one+"?"+strings.Repeat("a=1&", 100), "")
	assert.Equal(t, 400, w.Code)
}

// X19: refusals leave nothing behind.
func TestX19_NoGrowth(t *testing.T) {
	c := protocoltest.New(t)
	attempts := campaign.Scale(t, 1000, 10_000)
	attempt := func() {
		r := httptest.NewRequest("PUT", "http://127.0.0.1"+one, io.LimitReader(zeros{}, 1<<40))
		r.ContentLength = 1 << 40
		w := newRecorder()
		c.H.ServeHTTP(w, r)
		assert.Equal(t, 413, w.Code)
		c.Ask("POST", "/v1/poll", `{"set":"`+strings.Repeat("a", 64)+`","keys":["k"]}`)
	}
	attempt()
	before := heap()
	for range attempts {
		attempt()
	}
	assert.Less(t, heap()-before, int64(2<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// X20: bodies that trickle are cut off, and hurt nobody else.
func TestX20_Slowloris(t *testing.T) {
	conns := campaign.Scale(t, 50, 5000)
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		c.Publish(protocoltest.Key("app.yaml"), "x")
		p := memnet.Listen()
		serve(t, p, c.H)
		started := time.Now()
		var slow sync.WaitGroup
		for i := range conns {
			slow.Go(func() {
				conn, err := p.DialContext(t.Context(), "", "")
				if !assert.NoError(t, err) {
					return
				}
				defer func() { _ = conn.Close() }()
				answered := make(chan int, 1)
				go func() {
					defer close(answered)
					if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
						answered <- res.StatusCode
						_ = res.Body.Close()
					}
				}()
				head := []string{
					"PUT " + one + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n",
					"POST /v1/poll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n{\"set\":\"",
					"POST /v1/changesets HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{\"op\":\"publish\",",
					"POST /v1/typo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n",
					"POST /diamond-server/getProbeModify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n",
				}[i%5]
				_, err = io.WriteString(conn, head)
				for err == nil {
					time.Sleep(10 * time.Second)
					_, err = io.WriteString(conn, "x")
				}
				status, ok := <-answered
				assert.True(t, ok, "it is told why")
				assert.Contains(t, []int{404, 408}, status, head)
			})
		}
		// A normal client among them.
		client, network := clientOf(p)
		for range 20 {
			time.Sleep(time.Second)
			asked := time.Now()
			res, err := client.Get("http://127.0.0.1" + one)
			if assert.NoError(t, err) {
				assert.Equal(t, 200, res.StatusCode)
				_ = res.Body.Close()
			}
			assert.Less(t, time.Since(asked), time.Second)
		}
		slow.Wait()
		assert.Less(t, time.Since(started), time.Minute)
		network.CloseIdleConnections()
	})
}

// N9: who reads slowly shares the one copy of a content, and is cut off.
func TestN9_SlowReaders(t *testing.T) {
	readers := campaign.Scale(t, 100, 200)
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		content := strings.Repeat("c", protocoltest.MaxContent)
		c.Publish(protocoltest.Key("app.yaml"), content)
		p := memnet.Listen()
		serve(t, p, c.H)
		c.Ask("GET", one, "") // it is in the cache now
		before := heap()
		conns := make([]net.Conn, readers)
		for i := range conns {
			conn, err := p.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			_, err = io.WriteString(conn, "GET "+one+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			require.NoError(t, err)
			buf := make([]byte, 1024)
			_, err = io.ReadFull(conn, buf)
			require.NoError(t, err)
			conns[i] = conn
		}
		synctest.Wait()
		grown := heap() - before
		t.Logf("%d readers in the middle of %d bytes: %d bytes more", readers, len(content), grown)
		assert.Less(t, grown, int64(readers*64<<10), "one shared copy and a buffer each")
		var cut sync.WaitGroup
		started := time.Now()
		for _, conn := range conns {
			cut.Go(func() {
				buf := make([]byte, 1024)
				var err error
				for err == nil {
					time.Sleep(time.Second) // 1 KB/s
					_, err = io.ReadFull(conn, buf)
				}
				_ = conn.Close()
			})
		}
		cut.Wait()
		assert.Less(t, time.Since(started), 2*time.Minute, "the content would take 17 minutes")
	})
}

// A wait outlasts every deadline that the answer before it had, and one that
// the http.Server has for all its answers.
func TestX20_DeadlinesSpareWaits(t *testing.T) {
	for _, timeout := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := protocoltest.New(t)
			at := c.Publish(protocoltest.Key("app.yaml"), strings.Repeat("c", protocoltest.MaxContent))
			p := memnet.Listen()
			hs := &http.Server{Handler: c.H, WriteTimeout: timeout, ReadTimeout: timeout}
			done := make(chan error, 1)
			go func() { done <- hs.Serve(p) }()
			client, network := clientOf(p)
			get := func() {
				res, err := client.Get("http://127.0.0.1" + one)
				require.NoError(t, err)
				n, err := io.Copy(io.Discard, res.Body)
				require.NoError(t, err)
				assert.EqualValues(t, protocoltest.MaxContent, n)
				require.NoError(t, res.Body.Close())
			}
			poll := func() {
				body := fmt.Sprintf(`{"keys":["app.yaml"],"position":%q,"wait":"60s"}`, at)
				res, err := client.Post("http://127.0.0.1/v1/poll", "application/json", strings.NewReader(body))
				require.NoError(t, err)
				assert.Equal(t, 200, res.StatusCode)
				_, err = io.Copy(io.Discard, res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
			}
			get()
			started := time.Now()
			poll() // on the same connection
			assert.Equal(t, time.Minute, time.Since(started))
			get()
			time.Sleep(time.Minute)
			get()
			network.CloseIdleConnections()
			require.NoError(t, hs.Shutdown(context.Background()))
			<-done
		})
	}
}
