package server

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	diamond "github.com/linnaname/gdiamond"
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

func (c *counting) Fetch(ctx context.Context, req *diamond.FetchRequest) (*diamond.FetchResponse, error) {
	c.count()
	return c.Server.Fetch(ctx, req)
}

func (c *counting) Poll(ctx context.Context, req *diamond.PollRequest) (*diamond.PollResponse, error) {
	c.count()
	return c.Server.Poll(ctx, req)
}

// All clients come at once to a server that takes so many requests a second: no
// more come in, and within a minute all have what they want.
func TestL7_Admission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, perSecond = 1000, 100
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		defer srv.Close()
		key := diamond.NewKey("", "a")
		_, err = srv.Commit(t.Context(), &diamond.CommitRequest{Set: diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key, Content: "1"}}}})
		require.NoError(t, err)
		counted := &counting{Server: srv, began: time.Now(), all: make(map[int]int)}
		gate := &admission{counted, rate.NewLimiter(perSecond, perSecond)}
		var told atomic.Int64
		for range clients {
			client, err := diamond.NewClient(gate)
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Subscribe(key, diamond.ListenerFunc(func(context.Context, diamond.Config) error {
				told.Add(1)
				return nil
			}))
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
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
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		defer srv.Close()
		gate := &admission{srv, rate.NewLimiter(1, 1)}
		list := func() error {
			_, err := gate.List(t.Context(), &diamond.ListRequest{})
			return err
		}
		require.NoError(t, list())
		after := make(map[time.Duration]bool)
		for range 100 {
			var e *diamond.Error
			err := list()
			require.ErrorIs(t, err, diamond.ErrOverloaded)
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

func TestAdmissionIsChecked(t *testing.T) {
	for _, r := range []rates{{0, 1}, {1, 0}, {-1, 1}} {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		err = New(srv, WithListener(ln), WithAdmission(r.perSecond, r.burst)).Run(t.Context())
		require.ErrorIs(t, err, diamond.ErrInvalid, fmt.Sprint(r))
	}
}
