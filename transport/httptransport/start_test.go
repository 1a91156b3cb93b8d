package httptransport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// One of three servers is dead, mute or draining. A program that starts with
// all defaults, a thousand times, over real sockets, has the present value each
// time, and within a second.
func TestEveryStartHasThePresentValue(t *testing.T) {
	store := memstore.New()
	defer func() { require.NoError(t, store.Close()) }()
	var servers []diamond.Server // of one case
	serve := func(t *testing.T) (diamond.Server, string) {
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		servers = append(servers, srv)
		hs := httptest.NewServer(httptransport.NewHandler(srv))
		t.Cleanup(func() {
			hs.CloseClientConnections()
			hs.Close()
			require.NoError(t, srv.Close())
		})
		return srv, hs.Listener.Addr().String()
	}
	for name, unwell := range map[string]func(t *testing.T) (addr string){
		"dead": func(t *testing.T) string {
			l := listener(t)
			require.NoError(t, l.Close())
			return l.Addr().String()
		},
		"mute": func(t *testing.T) string { return listener(t).Addr().String() }, // the kernel takes connections
		"draining": func(t *testing.T) string {
			srv, addr := serve(t)
			srv.Drain()
			return addr
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers = nil
			addr := unwell(t)
			writer, one := serve(t)
			_, two := serve(t)
			k := protocoltest.Key("k")
			_, err := writer.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: name}}}})
			require.NoError(t, err)
			for _, srv := range servers { // the one that drains too, which answers reads
				require.Eventually(t, func() bool {
					res, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: k})
					return err == nil && res.Entry.Content == name
				}, time.Minute, 10*time.Millisecond)
			}
			first := 0
			for range campaign.Scale(t, 50, 1000) {
				var asked dialled
				b := transport.NewBalancer(transport.Static(addr, one, two), asked.dial)
				client, err := diamond.NewClient(b)
				require.NoError(t, err)
				started := time.Now()
				config, err := client.Get(t.Context(), k)
				took := time.Since(started)
				require.NoError(t, err)
				assert.Equal(t, name, config.Content)
				assert.Equal(t, conf.SourceServer, config.Source)
				if asked.first.Load().(string) == addr {
					first++
					if name != "draining" { // which answers reads
						assert.GreaterOrEqual(t, asked.count.Load(), int32(2), "servers asked")
					}
				}
				if campaign.On() {
					assert.Less(t, took, time.Second)
				}
				require.NoError(t, client.Close())
				b.Close()
			}
			assert.NotZero(t, first, "starts that asked the one that is %s first", name)
		})
	}
}

// An answer that stalls in its middle has the next server asked; one that is slow
// and comes on has not.
func TestStart_AnAnswerThatStallsIsOvertaken(t *testing.T) {
	for name, test := range map[string]struct {
		pause time.Duration
		most  time.Duration // that the read takes
		asked int32
	}{
		"slow":   {300 * time.Millisecond, 10 * time.Second, 1},
		"stalls": {time.Hour, time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := protocoltest.New(t)
				content := strings.Repeat("x", 8*piece)
				c.Publish(protocoltest.Key("k"), content)
				first := &pacedServer{h: c.H, pause: test.pause}
				network := &http.Client{Transport: first}
				b := transport.NewBalancer(transport.Static("127.0.0.1:1", "127.0.0.1:2"), httptransport.Dialer(httptransport.WithHTTPClient(network)))
				defer b.Close()
				client, err := diamond.NewClient(b)
				require.NoError(t, err)
				defer func() { require.NoError(t, client.Close()) }()
				started := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				config, err := client.Peek(ctx, protocoltest.Key("k"))
				require.NoError(t, err)
				assert.Equal(t, content, config.Content)
				assert.Less(t, time.Since(started), test.most)
				assert.Equal(t, test.asked, first.asked.Load())
			})
		})
	}
}

// piece is how many bytes come at a time.
const piece = 16 << 10

// pacedServer answers the first request in pieces, with a pause before each.
type pacedServer struct {
	h     http.Handler
	pause time.Duration
	asked atomic.Int32
}

func (s *pacedServer) RoundTrip(r *http.Request) (*http.Response, error) {
	paced := s.asked.Add(1) == 1
	w := httptest.NewRecorder()
	r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
	s.h.ServeHTTP(w, r)
	res := w.Result()
	if paced {
		res.Body = &pacedBody{ReadCloser: res.Body, request: r, pause: s.pause, left: w.Body.Len()}
	}
	return res, nil
}

type pacedBody struct {
	io.ReadCloser
	request *http.Request
	pause   time.Duration
	left    int // bytes
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.left > 0 {
		select {
		case <-time.After(b.pause):
		case <-b.request.Context().Done():
			return 0, b.request.Context().Err()
		}
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), piece)])
	b.left -= n
	return n, err
}

// dialled counts the servers that were asked.
type dialled struct {
	first atomic.Value // string
	count atomic.Int32
}

func (d *dialled) dial(addr string) (diamond.Transport, error) {
	d.first.CompareAndSwap(nil, addr)
	d.count.Add(1)
	return httptransport.Dialer()(addr)
}

// listener listens, and nobody answers.
func listener(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}
