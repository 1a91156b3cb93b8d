package e2e

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Linux alone has all of 127.0.0.0/8 without being told to.

// dnsKit is a store whose nodes have addresses of their own and one port, and
// a DNS that leads to them.
type dnsKit struct {
	t     *testing.T
	dns   *dnsServer
	store *memstore.Store
	port  string
	// patience is how long a client takes for a connection, to all addresses of a
	// name together: longer than a machine stalls, and than httptransport's own.
	patience time.Duration
}

func newDNSKit(t *testing.T) *dnsKit {
	k := &dnsKit{t: t, dns: newDNS(t), store: memstore.New(), patience: 15 * time.Second}
	t.Cleanup(func() { assert.NoError(t, k.store.Close()) })
	return k
}

// listen listens on ip, and on the port of the others.
func (k *dnsKit) listen(ip string) net.Listener {
	k.t.Helper()
	if k.port == "" {
		k.port = "0"
	}
	ln, err := net.Listen("tcp4", net.JoinHostPort(ip, k.port))
	require.NoError(k.t, err)
	_, k.port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(k.t, err)
	return ln
}

// node runs a node on ip until the function that it returns is called.
func (k *dnsKit) node(ip string) (end func()) {
	k.t.Helper()
	srv, err := diamond.NewServer(k.store)
	require.NoError(k.t, err)
	ln := k.listen(ip)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.NewNode(srv, server.WithListener(ln), server.WithTransport(httptransport.WithAllowedHosts("config.test"))).Run(ctx)
	}()
	end = sync.OnceFunc(func() {
		stop()
		assert.NoError(k.t, <-ended)
	})
	k.t.Cleanup(end)
	return end
}

// client returns a client of HTTP that asks the kit's DNS. With silent, packets
// to that address are lost. Without keep, each request has a connection of its own.
func (k *dnsKit) client(silent string, keep bool) *http.Client {
	dialer := k.dns.dialer()
	dialer.Timeout = k.patience
	dialer.ControlContext = func(ctx context.Context, _, addr string, _ syscall.RawConn) error {
		if silent == "" || !strings.HasPrefix(addr, silent+":") {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	tr := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: !keep}
	k.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (k *dnsKit) transport(name string, client *http.Client) *httptransport.Transport {
	over, err := httptransport.New(name+":"+k.port, httptransport.WithHTTPClient(client), patient)
	require.NoError(k.t, err)
	return over
}

func ask(t *testing.T, over diamond.Transport) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := over.Fetch(ctx, &conf.FetchRequest{Key: key("a")})
	return err
}

// One of three addresses of a name is dead, wherever it stands, whether the
// machine says so or is silent: no request fails.
func TestN13_OneOfThreeRecordsIsDead(t *testing.T) {
	k := newDNSKit(t)
	k.node("127.0.0.3")
	k.node("127.0.0.4")
	dead := k.listen("127.0.0.2") // nobody else has the port
	require.NoError(t, dead.Close())
	for i, addrs := range [][]string{{"127.0.0.2", "127.0.0.3", "127.0.0.4"}, {"127.0.0.3", "127.0.0.2", "127.0.0.4"}, {"127.0.0.4", "127.0.0.3", "127.0.0.2"}} {
		k.dns.set(func(d *dnsServer) { d.names["config.test"] = addrs })
		for range 10 {
			require.NoError(t, ask(t, k.transport("config.test", k.client("", false))), "order %d", i)
		}
		require.NoError(t, ask(t, k.transport("config.test", k.client("127.0.0.2", false))), "order %d, silent", i)
	}
}

// A name leads elsewhere from now on: whoever has a connection keeps it, and
// when that ends the name is resolved anew.
func TestN13_AddressChanges(t *testing.T) {
	k := newDNSKit(t)
	endOld := k.node("127.0.0.2")
	k.node("127.0.0.3")
	k.dns.set(func(d *dnsServer) { d.names["config.test"] = []string{"127.0.0.2"} })
	client := k.client("", true)
	over := transport.NewBalancer(transport.Static("config.test:"+k.port), httptransport.Dialer(httptransport.WithHTTPClient(client), patient))
	defer over.Close()
	require.NoError(t, ask(t, over))

	k.dns.set(func(d *dnsServer) { d.names["config.test"] = []string{"127.0.0.3"} })
	before := k.dns.questions()
	require.NoError(t, ask(t, over))
	require.Equal(t, before, k.dns.questions(), "by the connection that is there")
	endOld()
	require.Eventually(t, func() bool { return ask(t, over) == nil }, time.Minute, 10*time.Millisecond)
	require.Greater(t, k.dns.questions(), before)
	for range 10 {
		require.NoError(t, ask(t, over))
	}
}

// The DNS says that names do not exist, or says nothing: name servers cannot be
// asked, and the servers that they had named are used as before. So are those
// that are remembered on disk, and those with a name that needs no DNS.
func TestN13_DNSIsDown(t *testing.T) {
	for name, trouble := range map[string]func(d *dnsServer){
		"no such name": func(d *dnsServer) { clear(d.names) },
		"silent":       func(d *dnsServer) { d.mute = true },
	} {
		t.Run(name, func(t *testing.T) {
			k := newDNSKit(t)
			k.patience = 6 * time.Second // for a name that nobody knows, all of it is waited
			k.node("127.0.0.2")
			k.dns.set(func(d *dnsServer) {
				d.names["names.test"], d.names["config.test"] = []string{"127.0.0.5"}, []string{"127.0.0.2"}
			})
			names := k.nameServer("127.0.0.5")
			url := "http://names.test:" + names
			register(t, "http://127.0.0.5:"+names, "127.0.0.2:"+k.port)
			register(t, "http://127.0.0.5:"+names, "config.test:"+k.port)
			cache := filepath.Join(t.TempDir(), "servers.json")
			newNames := func() *namesrv.Client {
				c, err := namesrv.NewClient([]string{url}, namesrv.WithHTTPClient(k.client("", false)), namesrv.WithCacheFile(cache))
				require.NoError(t, err)
				return c
			}
			known := newNames()
			want := []string{"127.0.0.2:" + k.port, "config.test:" + k.port}
			require.EventuallyWithT(t, func(c *assert.CollectT) { // it has 2 s to answer
				servers, err := known.Resolve(t.Context())
				require.NoError(c, err)
				require.Equal(c, want, servers)
			}, time.Minute, 10*time.Millisecond)

			k.dns.set(trouble)
			for _, c := range []*namesrv.Client{known, newNames()} {
				servers, err := c.Resolve(t.Context())
				require.NoError(t, err)
				require.Equal(t, want, servers)
				over := transport.NewBalancer(c, httptransport.Dialer(httptransport.WithHTTPClient(k.client("", true)), patient))
				// One of the two servers has a name that leads nowhere now.
				for range 2 {
					assert.NoError(t, ask(t, over))
				}
				over.Close()
			}
		})
	}
}

// nameServer runs a name server on ip and returns its port.
func (k *dnsKit) nameServer(ip string) (port string) {
	ln, err := net.Listen("tcp4", ip+":0")
	require.NoError(k.t, err)
	srv := &http.Server{Handler: namesrv.NewRegistry(namesrv.WithInsecureRegistration()), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	k.t.Cleanup(func() {
		assert.NoError(k.t, srv.Close())
		assert.ErrorIs(k.t, <-ended, http.ErrServerClosed)
	})
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(k.t, err)
	return port
}
