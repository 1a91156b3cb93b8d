package dial_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var limits = conf.NewKey("payment", "limits")

// newServer returns a server on a storage in memory.
func newServer(t *testing.T, store *memstore.Store) diamond.Server {
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	return srv
}

func publish(t *testing.T, srv diamond.Server, content string) {
	t.Helper()
	_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: limits, Content: content}}}})
	require.NoError(t, err)
}

// bind binds limits, and returns a channel with what the callback is called with.
func bind(t *testing.T, client diamond.Client, opts ...diamond.BindOption) (*diamond.Value[string], <-chan string) {
	t.Helper()
	v, err := diamond.Bind[string](t.Context(), client, limits, opts...)
	require.NoError(t, err)
	changed := make(chan string, 10)
	v.OnChange(func(_, now *string) { changed <- *now })
	return v, changed
}

// await waits until the callback has been called with want. It may be called with an
// older value first.
func await(t *testing.T, changed <-chan string, want string) {
	t.Helper()
	for {
		select {
		case got := <-changed:
			if got == want {
				return
			}
		case <-time.After(time.Minute):
			require.Fail(t, "no change to "+want)
		}
	}
}

// network is a network in memory, whose time can be that of a synctest bubble.
type network struct {
	pool *http.Transport

	mu    sync.Mutex
	hosts map[string]*memnet.Listener // guarded by mu; by address, nil for one that is silent
	asked map[string]bool             // guarded by mu; the addresses that were called
}

func newNetwork(t *testing.T) *network {
	n := &network{hosts: make(map[string]*memnet.Listener), asked: make(map[string]bool)}
	n.pool = &http.Transport{DialContext: n.dial}
	t.Cleanup(n.pool.CloseIdleConnections)
	return n
}

// option makes servers be called over the network.
func (n *network) option() dial.Option {
	return dial.WithHTTP(httptransport.WithHTTPClient(&http.Client{Transport: n.pool}))
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.asked[addr] = true
	l, ok := n.hosts[addr]
	n.mu.Unlock()
	if !ok {
		return nil, syscall.ECONNREFUSED
	}
	if l == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.DialContext(ctx, network, addr)
}

// put serves h at addr, or nothing that answers if h is nil. The address is refused
// once remove was called.
func (n *network) put(t *testing.T, addr string, h http.Handler) (remove func()) {
	var l *memnet.Listener
	stop := func() {}
	if h != nil {
		l = memnet.Listen()
		web := &http.Server{Handler: h}
		done := make(chan error, 1)
		go func() { done <- web.Serve(l) }()
		stop = func() {
			_ = web.Close()
			<-done
			time.Sleep(time.Second) // fake time: net/http waits for half a second before it closes a connection with a request under way
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = l
	remove = sync.OnceFunc(func() {
		n.mu.Lock()
		delete(n.hosts, addr)
		n.mu.Unlock()
		stop()
	})
	t.Cleanup(remove)
	return remove
}

// node is a node on loopback.
type node struct {
	addr string
	srv  diamond.Server
	stop func()
}

// run runs a node on store at an address of loopback, which it registers with names, if
// that is not nil.
func run(t *testing.T, store *memstore.Store, names server.Registry) *node {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &node{addr: l.Addr().String(), srv: newServer(t, store)}
	opts := []server.Option{server.WithListener(l)}
	if names != nil {
		opts = append(opts, server.WithRegistry(names, ""))
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.NewNode(n.srv, opts...).Run(ctx) }()
	n.stop = sync.OnceFunc(func() { stop(); assert.NoError(t, <-done) })
	t.Cleanup(n.stop)
	return n
}

// records collects log records, each as its level and message.
type records struct {
	slog.Handler

	mu   sync.Mutex
	list []string // guarded by mu
}

func newRecords() *records { return &records{Handler: slog.DiscardHandler} }

func (r *records) Enabled(context.Context, slog.Level) bool { return true }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := record.Level.String() + " " + record.Message
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			text += ": " + a.Value.String()
		}
		return true
	})
	r.list = append(r.list, text)
	return nil
}

// take returns the records that have come since the last call and contain part.
func (r *records) take(part string) (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range r.list {
		if strings.Contains(text, part) {
			list = append(list, text)
		}
	}
	r.list = nil
	return list
}

// silent discards the records of a test that does not look at them.
var silent = dial.WithLogger(slog.New(slog.DiscardHandler))
