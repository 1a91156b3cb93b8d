package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// node is a running node.
type node struct {
	t        testing.TB
	srv      diamond.Server
	listener *memnet.Listener
	end      func() // drains it, and waits for that
}

// runNode runs a node on store until end is called, or else the test ends.
func runNode(t testing.TB, store diamond.Storage, opts ...diamond.ServerOption) *node {
	t.Helper()
	srv, err := diamond.NewServer(store, opts...)
	require.NoError(t, err)
	n := &node{t: t, srv: srv, listener: memnet.Listen()}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.NewNode(srv, server.WithListener(n.listener)).Run(ctx) }()
	n.end = sync.OnceFunc(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(n.end)
	return n
}

// publish publishes past all networks.
func (n *node) publish(dataID, content string) diamond.Position {
	n.t.Helper()
	return n.commit(diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key(dataID), Content: content}}})
}

func (n *node) remove(dataID string) diamond.Position {
	n.t.Helper()
	return n.commit(diamond.ChangeSet{Deletes: []diamond.Delete{{Key: key(dataID)}}})
}

func (n *node) commit(set diamond.ChangeSet) diamond.Position {
	n.t.Helper()
	resp, err := n.srv.Commit(context.Background(), &conf.CommitRequest{Set: set})
	require.NoError(n.t, err)
	return resp.Position
}

func (n *node) polls() int {
	c := n.srv.Status().Counters
	return int(c.PollChanged + c.PollTimeout + c.PollCanceled)
}

func key(dataID string) diamond.Key { return diamond.NewKey("", dataID) }

// transport returns the real client end, over l.
func (l *link) transport(t testing.TB) *httptransport.Transport {
	network := &http.Transport{DialContext: l.dial, DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second}
	t.Cleanup(network.CloseIdleConnections)
	over, err := httptransport.New("127.0.0.1:1210", httptransport.WithHTTPClient(&http.Client{Transport: network}))
	require.NoError(t, err)
	return over
}

// newClient returns a client that is closed at the end of the test.
func newClient(t testing.TB, over diamond.Transport, opts ...diamond.ClientOption) diamond.Client {
	t.Helper()
	client, err := diamond.NewClient(over, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

// recorder is a listener that remembers what it was told.
type recorder struct {
	mu   sync.Mutex
	told []diamond.Config // guarded by mu
}

func (r *recorder) OnConfig(_ context.Context, config diamond.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, config)
	return nil
}

func (r *recorder) all() []diamond.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]diamond.Config(nil), r.told...)
}

// contents returns what it was told, with "-" for a deletion.
func (r *recorder) contents() (contents []string) {
	for _, config := range r.all() {
		if config.Deleted {
			contents = append(contents, "-")
		} else {
			contents = append(contents, config.Content)
		}
	}
	return contents
}

func (r *recorder) last() string {
	all := r.contents()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// follow subscribes a recorder to a key.
func follow(t testing.TB, client diamond.Client, dataID string) *recorder {
	t.Helper()
	r := new(recorder)
	_, err := client.Subscribe(key(dataID), r)
	require.NoError(t, err)
	return r
}

// logs collects log records as text.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
