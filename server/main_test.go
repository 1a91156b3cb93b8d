package server_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a node that runs.
type running struct {
	t        *testing.T
	srv      diamond.Server
	listener *memnet.Listener
	client   *http.Client
	stop     context.CancelFunc
	ended    chan error
}

// run runs a node on memory alone.
func run(t *testing.T, opts ...server.Option) *running {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return hosted(t, srv, opts...)
}

// hosted runs a node that hosts srv.
func hosted(t *testing.T, srv diamond.Server, opts ...server.Option) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, srv: srv, listener: memnet.Listen(), stop: stop, ended: make(chan error, 1)}
	r.client = &http.Client{Transport: &http.Transport{DialContext: r.listener.DialContext}}
	node := server.NewNode(srv, append([]server.Option{server.WithListener(r.listener)}, opts...)...)
	go func() { r.ended <- node.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		r.client.CloseIdleConnections()
		if err, ok := <-r.ended; ok {
			require.NoError(t, err)
		}
	})
	return r
}

// over returns a transport to addr through client.
func over(t *testing.T, addr string, client *http.Client) *httptransport.Transport {
	t.Helper()
	tr, err := httptransport.New(addr, httptransport.WithHTTPClient(client))
	require.NoError(t, err)
	return tr
}

// wait waits until the node has ended.
func (r *running) wait() {
	r.t.Helper()
	err := <-r.ended
	close(r.ended)
	require.NoError(r.t, err)
}

func (r *running) get(path string) (*http.Response, string) {
	r.t.Helper()
	res, err := r.client.Get("http://node" + path)
	require.NoError(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res, string(body)
}

func (r *running) publish(key conf.Key, content string) conf.Position {
	r.t.Helper()
	res, err := r.srv.Commit(r.t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}}})
	require.NoError(r.t, err)
	return res.Position
}

// registry records what is asked of it.
type registry struct {
	mu     sync.Mutex
	events []string // guarded by mu
	hang   time.Duration
	err    error
}

func (r *registry) Register(ctx context.Context, addr string) error {
	r.add("register " + addr)
	if r.err != nil {
		return r.err
	}
	<-ctx.Done()
	time.Sleep(r.hang) // real time: never, it is 0 outside a bubble
	r.add("unregister " + addr)
	return nil
}

func (r *registry) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *registry) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}
