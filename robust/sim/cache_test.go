package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// stubborn is an intermediary that answers a request that it has seen before
// with the answer of then, whatever the answer said of caching.
type stubborn struct {
	http.RoundTripper
	mu      sync.Mutex
	on      bool                 // guarded by mu
	answers map[string]*answered // guarded by mu
	served  int                  // guarded by mu
	cached  []string             // guarded by mu; the answers that permitted it
}

type answered struct {
	res  http.Response
	body []byte
}

func (s *stubborn) RoundTrip(req *http.Request) (*http.Response, error) {
	var asked []byte
	if req.Body != nil {
		asked, _ = io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(asked))
	}
	name := fmt.Sprint(req.Method, req.URL, string(asked))
	s.mu.Lock()
	old := s.answers[name]
	if old != nil && s.on {
		s.served++
		s.mu.Unlock()
		res := old.res
		res.Body = io.NopCloser(bytes.NewReader(old.body))
		return &res, nil
	}
	s.mu.Unlock()
	res, err := s.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if res.StatusCode == http.StatusOK {
		s.answers[name] = &answered{*res, body}
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		s.cached = append(s.cached, name)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

func (s *stubborn) set(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
}

// An intermediary that caches answers old questions with old answers: the
// client never goes back, and every answer forbade it.
func TestN14_CachingIntermediary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		w.publish(t, 0, "a", "1")
		pool := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return w.Network.Dial(ctx, addr)
		}}
		defer pool.CloseIdleConnections()
		proxy := &stubborn{RoundTripper: pool, answers: make(map[string]*answered)}
		over, err := httptransport.New(w.Nodes[0].Addr(), httptransport.WithHTTPClient(&http.Client{Transport: proxy}))
		require.NoError(t, err)
		client, err := diamond.NewClient(over)
		require.NoError(t, err)
		defer client.Close()
		a := follow(t, client, "a")
		time.Sleep(5 * time.Second)
		require.Equal(t, "1", a.Last())
		for i := range 5 {
			w.publish(t, 0, "a", fmt.Sprint(i+2))
			time.Sleep(10 * time.Second)
		}
		require.Equal(t, "6", a.Last())

		proxy.set(true)
		begun := a.Configs()
		fresh, err := diamond.NewClient(over) // asks what the first one has asked before
		require.NoError(t, err)
		defer fresh.Close()
		b := follow(t, fresh, "a")
		for range 60 {
			time.Sleep(time.Second)
			config, err := client.Get(t.Context(), key("a"))
			require.NoError(t, err)
			require.Equal(t, "6", config.Content)
		}
		require.Equal(t, begun, a.Configs(), "nothing old is delivered")
		proxy.set(false)
		w.publish(t, 0, "a", "7")
		time.Sleep(settle)
		assert.Equal(t, "7", a.Last())
		assert.Equal(t, "7", b.Last())
		assert.Empty(t, proxy.cached, "all answers say no-store")
		assert.Positive(t, proxy.served, "the intermediary did serve old answers")
		for i, config := range b.Configs() {
			assert.True(t, i == 0 || config.Revision > b.Configs()[i-1].Revision, "INV-4")
		}
	})
}
