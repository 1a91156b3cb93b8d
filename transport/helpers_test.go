package transport_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is some servers on one store, by address, each behind a faulty network.
type cluster struct {
	t      *testing.T
	store  *memstore.Store
	faulty map[string]*transporttest.Faulty
	srv    map[string]diamond.Server
	closed sync.Map // addresses whose transport was closed
	dials  atomic.Int32
}

func newCluster(t *testing.T, addrs ...string) *cluster {
	c := &cluster{t: t, store: memstore.New(), faulty: map[string]*transporttest.Faulty{}, srv: map[string]diamond.Server{}}
	for _, addr := range addrs {
		c.serve(addr)
	}
	t.Cleanup(func() {
		for _, srv := range c.srv {
			require.NoError(t, srv.Close())
		}
		require.NoError(t, c.store.Close())
	})
	return c
}

// serve starts a server at addr.
func (c *cluster) serve(addr string) {
	srv, err := diamond.NewServer(c.store)
	require.NoError(c.t, err)
	c.srv[addr], c.faulty[addr] = srv, transporttest.NewFaulty(srv)
}

// closing is a transport that notes its Close.
type closing struct {
	*transporttest.Faulty
	close func()
}

func (c closing) Close() { c.close() }

func (c *cluster) dial(addr string) (diamond.Transport, error) {
	c.dials.Add(1)
	if c.faulty[addr] == nil {
		return nil, errors.New("no route to " + addr)
	}
	return closing{c.faulty[addr], func() { c.closed.Store(addr, true) }}, nil
}

func (c *cluster) balance(r transport.Resolver, opts ...transport.Option) *transport.Balancer {
	b := transport.NewBalancer(r, c.dial, opts...)
	c.t.Cleanup(b.Close)
	return b
}

// asked returns which servers were asked since the last time.
func (c *cluster) asked(since map[string]int) (addrs []string) {
	for addr, f := range c.faulty {
		made, _ := f.Calls()
		if made > since[addr] {
			addrs = append(addrs, addr)
		}
		since[addr] = made
	}
	return addrs
}

// current returns the server that b asks, which it asks once.
func (c *cluster) current(b *transport.Balancer) string {
	since := map[string]int{}
	c.asked(since)
	require.NoError(c.t, get(b))
	return c.asked(since)[0]
}

func get(b diamond.Transport) error {
	_, err := b.Fetch(context.Background(), &conf.FetchRequest{Key: conf.NewKey("", "k")})
	return err
}

func put(b diamond.Transport, requestID string) (*conf.CommitResponse, error) {
	return b.Commit(context.Background(), &conf.CommitRequest{Set: conf.ChangeSet{
		RequestID: requestID, Drafts: []conf.Draft{{Key: conf.NewKey("", "k"), Content: "x"}},
	}})
}

// resolver returns what it is told to.
type resolver struct {
	mu    sync.Mutex
	addrs []string
	err   error
	asked int
}

func (r *resolver) set(err error, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs, r.err = addrs, err
}

func (r *resolver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *resolver) Resolve(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.addrs, r.err
}
