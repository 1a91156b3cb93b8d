package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// counting is a server that counts what gets to it, second by second.
type counting struct {
	diamond.Server
	began time.Time
	mu    sync.Mutex
	all   map[int]int // guarded by mu
}

func (c *counting) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[int(time.Since(c.began)/time.Second)]++
}

func (c *counting) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	c.count()
	return c.Server.Fetch(ctx, req)
}

func (c *counting) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	c.count()
	return c.Server.Poll(ctx, req)
}

// All clients come at once to a server that takes so many requests a second: no
// more come in, and within two minutes all have what they want.
func TestL7_Admission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, perSecond = 1000, 100
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		defer srv.Close()
		key := conf.NewKey("", "a")
		_, err = srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: "1"}}}})
		require.NoError(t, err)
		counted := &counting{Server: srv, began: time.Now(), all: make(map[int]int)}
		r := hosted(t, counted, server.WithAdmission(perSecond, perSecond))
		tr := over(t, "node", r.client)
		var told atomic.Int64
		for range clients {
			client, err := diamond.NewClient(tr)
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Subscribe(key, diamond.ListenerFunc(func(context.Context, conf.Config) error {
				told.Add(1)
				return nil
			}))
			require.NoError(t, err)
		}
		time.Sleep(2 * time.Minute)
		assert.EqualValues(t, clients, told.Load())
		counted.mu.Lock()
		defer counted.mu.Unlock()
		for second, n := range counted.all {
			assert.LessOrEqual(t, n, 2*perSecond, "in second %d", second)
		}
	})
}

func TestAdmissionSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, server.WithAdmission(1, 1))
		tr := over(t, "node", r.client)
		list := func() error {
			_, err := tr.List(t.Context(), &conf.ListRequest{})
			return err
		}
		require.NoError(t, list())
		after := make(map[time.Duration]bool)
		for range 100 {
			var e *conf.Error
			err := list()
			require.ErrorIs(t, err, conf.ErrOverloaded)
			require.ErrorAs(t, err, &e)
			assert.GreaterOrEqual(t, e.RetryAfter, time.Second)
			assert.Less(t, e.RetryAfter, 3*time.Second)
			after[e.RetryAfter] = true
		}
		assert.Greater(t, len(after), 50, "each at another moment")
		time.Sleep(time.Second)
		require.NoError(t, list())
	})
}

// A request that does not come in is refused before its body is read, whatever the
// route; reports always come in.
func TestAdmissionComesBeforeTheBody(t *testing.T) {
	synctest.Test(t, admissionComesBeforeTheBody)
}

func admissionComesBeforeTheBody(t *testing.T) {
	r := run(t, server.WithAdmission(1, 1))
	res, _ := r.get("/v1/configs")
	require.Equal(t, http.StatusOK, res.StatusCode) // that was the one of this second
	for _, route := range []string{
		"PUT /v1/configs/public/g/k", "POST /v1/changesets", "POST /v1/poll",
		"POST /diamond-server/publishConfig", "POST /diamond-server/getProbeModify",
	} {
		conn, err := r.listener.DialContext(t.Context(), "", "")
		require.NoError(t, err)
		// None of the body is sent: who waited for it would wait for ever.
		_, err = io.WriteString(conn, route+" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if assert.NoError(t, err, route) {
			assert.Equal(t, http.StatusTooManyRequests, res.StatusCode, route)
		}
		_ = conn.Close()
	}
	body := `{"reports":[{"key":"a","revision":1,"applied":true}]}`
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/v1/reports", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Diamond-Client", "id=a")
	res, err = r.client.Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	assert.Equal(t, http.StatusNoContent, res.StatusCode)
}

func TestAdmissionIsChecked(t *testing.T) {
	for _, r := range []struct{ perSecond, burst int }{{0, 1}, {1, 0}, {-1, 1}} {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		err = server.NewNode(srv, server.WithListener(ln), server.WithAdmission(r.perSecond, r.burst)).Run(t.Context())
		require.ErrorIs(t, err, conf.ErrInvalid, fmt.Sprint(r))
	}
}
