package dial_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/tlsfile"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// A program starts within a second if one of its servers is well, and follows it.
func TestServers_Follows(t *testing.T) {
	for name, addrs := range map[string]string{
		"one server":           "cfg-1",
		"two servers":          "cfg-1,cfg-2:1211",
		"one of two is dead":   " dead ,cfg-1",
		"one of two is silent": "mute,cfg-1",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, srv := newNetwork(t), newServer(t, memstore.New())
				n.put(t, "cfg-1:1210", httptransport.NewHandler(srv))
				n.put(t, "cfg-2:1211", httptransport.NewHandler(srv))
				n.put(t, "mute:1210", nil)
				publish(t, srv, "1")
				client, err := dial.Servers(addrs, n.option(), silent)
				require.NoError(t, err)
				started := time.Now()
				v, changed := bind(t, client)
				assert.Equal(t, "1", *v.Get())
				assert.LessOrEqual(t, time.Since(started), time.Second)
				publish(t, srv, "2")
				await(t, changed, "2")
				require.NoError(t, client.Close())
				_, err = client.Get(t.Context(), limits)
				require.ErrorIs(t, err, conf.ErrClosed)
			})
		})
	}
}

// What is a good address, and which servers are asked then.
func TestServers_Addresses(t *testing.T) {
	for addrs, want := range map[string][]string{
		"h": {"h:1210"}, "h:1": {"h:1"}, "[::1]": {"[::1]:1210"}, "http://h/centre": {"h:80"}, "https://h": {"h:443"},
		" a , b:2 ": {"a:1210", "b:2"}, "a,a": {"a:1210"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			client, err := dial.Servers(addrs, n.option(), silent)
			require.NoError(t, err, addrs)
			_, err = client.Get(t.Context(), limits)
			assert.ErrorIs(t, err, conf.ErrUnavailable, addrs)
			require.NoError(t, client.Close())
			asked := make(map[string]bool)
			for _, addr := range want {
				asked[addr] = true
			}
			assert.Equal(t, asked, n.asked, addrs)
		})
	}
	for addrs, why := range map[string]string{
		"": "address 1: is empty", "a,": "address 2: is empty", "a, ,b": "address 2: is empty", "a,::1": `address "::1"`, ":1": `address ":1"`,
		"ftp://a": `address "ftp://a"`, "b,a?b": `address "a?b"`, "http://user:secret@h": `address "h"`,
	} {
		client, err := dial.Servers(addrs)
		assert.Nil(t, client, addrs)
		assert.ErrorIs(t, err, conf.ErrInvalid, addrs)
		assert.ErrorContains(t, err, why, addrs)
		assert.NotContains(t, err.Error(), "secret")
	}
	for urls, why := range map[string]string{"": "name server 1: is empty", "a,": "name server 2: is empty", "a,ftp://b": `name server "ftp://b"`} {
		client, err := dial.NameServers(urls)
		assert.Nil(t, client, urls)
		assert.ErrorIs(t, err, conf.ErrInvalid, urls)
		assert.ErrorContains(t, err, why, urls)
	}
}

// names is a name server on loopback, at the same address whenever it is started.
type names struct {
	addr string
	web  *http.Server
	done chan error
}

func newNames(t *testing.T) *names {
	n := &names{addr: "127.0.0.1:0"}
	n.start(t)
	t.Cleanup(n.stop)
	return n
}

func (n *names) start(t *testing.T) {
	l, err := net.Listen("tcp", n.addr)
	require.NoError(t, err)
	n.addr, n.web, n.done = l.Addr().String(), &http.Server{Handler: namesrv.NewRegistry()}, make(chan error, 1)
	go func(web *http.Server, done chan error) { done <- web.Serve(l) }(n.web, n.done)
}

func (n *names) stop() {
	if n.web != nil {
		_ = n.web.Close()
		<-n.done
		n.web = nil
	}
}

// run runs a node that is registered with n.
func (n *names) run(t *testing.T, store *memstore.Store) *node {
	c, err := namesrv.NewClient([]string{n.addr})
	require.NoError(t, err)
	node := run(t, store, c)
	require.EventuallyWithT(t, func(e *assert.CollectT) {
		servers, err := c.Resolve(t.Context())
		assert.NoError(e, err)
		assert.Contains(e, servers, node.addr)
	}, time.Minute, time.Millisecond)
	return node
}

// A client follows a server that name servers know, also when it is restarted at another
// address after the name servers were.
func TestNameServers_Follows(t *testing.T) {
	store, names := memstore.New(), newNames(t)
	old := names.run(t, store)
	publish(t, old.srv, "1")
	client, err := dial.NameServers(" "+names.addr+" ", silent)
	require.NoError(t, err)
	v, changed := bind(t, client)
	require.Equal(t, "1", *v.Get())

	names.stop()
	names.start(t)
	old.stop()
	publish(t, names.run(t, store).srv, "2")
	await(t, changed, "2")
	require.NoError(t, client.Close())
}

// A program that starts while everything is away has what its client kept on disk.
func TestWithFiles_Restart(t *testing.T) {
	store, names, dir := memstore.New(), newNames(t), filepath.Join(t.TempDir(), "a", "b")
	node := names.run(t, store)
	publish(t, node.srv, "1")
	open := func(opts ...dial.Option) diamond.Client {
		client, err := dial.NameServers(names.addr, append(opts, silent)...)
		require.NoError(t, err)
		return client
	}
	client := open(dial.WithFiles(dir))
	bind(t, client)
	require.NoError(t, client.Close())

	// The name server alone is away.
	names.stop()
	client = open(dial.WithFiles(dir))
	v, changed := bind(t, client)
	require.Equal(t, conf.SourceServer, v.Config().Source)
	publish(t, node.srv, "2")
	await(t, changed, "2")
	require.NoError(t, client.Close())

	// Everything is.
	node.stop()
	client = open(dial.WithFiles(dir))
	v, _ = bind(t, client, diamond.WithDefault("default"))
	assert.Equal(t, "2", *v.Get())
	assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
	require.NoError(t, client.Close())

	client = open()
	v, _ = bind(t, client, diamond.WithDefault("default"))
	assert.Equal(t, "default", *v.Get())
	require.NoError(t, client.Close())
}

// Without files and a default, a first value is waited for, and then there is none.
func TestServers_Nothing(t *testing.T) {
	for want, opts := range map[time.Duration][]dial.Option{
		3 * time.Second: nil,
		7 * time.Second: {dial.WithClient(diamond.WithTimeouts(diamond.Timeouts{First: 7 * time.Second}))},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			n.put(t, "h:1210", nil)
			client, err := dial.Servers("h", append(opts, n.option(), silent)...)
			require.NoError(t, err)
			started := time.Now()
			_, err = diamond.Bind[string](t.Context(), client, limits)
			assert.ErrorIs(t, err, conf.ErrUnavailable)
			assert.Equal(t, want, time.Since(started))
			require.NoError(t, client.Close())
		})
	}
}

// A listener that does not return delays Close for as long as the client waits, and then
// the rest is closed all the same: the goroutines of all parts have ended.
func TestClose_ListenerStillRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv := newNetwork(t), newServer(t, memstore.New())
		n.put(t, "h:1210", httptransport.NewHandler(srv))
		publish(t, srv, "1")
		client, err := dial.Servers("h", n.option(), silent)
		require.NoError(t, err)
		release, entered := make(chan struct{}), make(chan struct{})
		_, err = client.Subscribe(limits, diamond.ListenerFunc(func(context.Context, conf.Config) error {
			close(entered)
			<-release
			return nil
		}))
		require.NoError(t, err)
		<-entered
		began := time.Now()
		err = client.Close()
		assert.ErrorIs(t, err, conf.ErrUnavailable)
		assert.ErrorContains(t, err, limits.String())
		assert.Equal(t, 10*time.Second, time.Since(began))
		assert.NoError(t, client.Close())
		close(release)
	})
}

// A program may end from within a listener.
func TestClose_FromAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv := newNetwork(t), newServer(t, memstore.New())
		n.put(t, "h:1210", httptransport.NewHandler(srv))
		publish(t, srv, "1")
		client, err := dial.Servers("h", n.option(), silent)
		require.NoError(t, err)
		closed, entered := make(chan error, 1), make(chan struct{})
		_, err = client.Subscribe(limits, diamond.ListenerFunc(func(context.Context, conf.Config) error {
			close(entered)
			time.Sleep(time.Second) // Close below has begun by then
			closed <- client.Close()
			return nil
		}))
		require.NoError(t, err)
		<-entered
		began := time.Now()
		assert.NoError(t, client.Close())
		assert.NoError(t, <-closed)
		assert.Equal(t, time.Second, time.Since(began))
	})
}

// openFiles returns the number of open files of this process.
func openFiles(t *testing.T) int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files can be counted only where there is /proc")
	}
	return len(fds)
}

// Nothing remains of a client that was closed, nor of one that could not be opened.
func TestNothingRemains(t *testing.T) {
	goleak.VerifyNone(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	files := dial.WithFiles(dir)
	badInfo := dial.WithClient(diamond.WithClientInfo(diamond.ClientInfo{App: strings.Repeat("x", 1000)}))
	resolver := transport.Static("127.0.0.1:1")
	for name, c := range map[string]struct {
		open func() (diamond.Client, error)
		err  error
	}{
		"servers":      {func() (diamond.Client, error) { return dial.Servers("127.0.0.1:1", files, silent) }, nil},
		"name servers": {func() (diamond.Client, error) { return dial.NameServers("127.0.0.1:1", files, silent) }, nil},
		"resolver":     {func() (diamond.Client, error) { return dial.Resolver(resolver, files, silent) }, nil},
		"bad address":  {func() (diamond.Client, error) { return dial.Servers("127.0.0.1:1,:2", files, silent) }, conf.ErrInvalid},
		"bad URL":      {func() (diamond.Client, error) { return dial.NameServers("ftp://127.0.0.1:1", files, silent) }, conf.ErrInvalid},
		"nil resolver": {func() (diamond.Client, error) { return dial.Resolver(nil, files, silent) }, conf.ErrInvalid},
		"directory": {func() (diamond.Client, error) {
			return dial.Servers("127.0.0.1:1", dial.WithFiles(filepath.Join(file, "x")), silent)
		}, syscall.ENOTDIR},
		"no directory":      {func() (diamond.Client, error) { return dial.Servers("127.0.0.1:1", dial.WithFiles(""), silent) }, fs.ErrNotExist},
		"bad info":          {func() (diamond.Client, error) { return dial.Servers("127.0.0.1:1", files, badInfo, silent) }, conf.ErrInvalid},
		"bad info, names":   {func() (diamond.Client, error) { return dial.NameServers("127.0.0.1:1", files, badInfo, silent) }, conf.ErrInvalid},
		"bad info, nothing": {func() (diamond.Client, error) { return dial.Resolver(resolver, badInfo, silent) }, conf.ErrInvalid},
	} {
		before := openFiles(t)
		client, err := c.open()
		if c.err != nil {
			assert.ErrorIs(t, err, c.err, name)
			assert.True(t, client == nil, "%s: a nil interface", name)
		} else if assert.NoError(t, err, name) {
			ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := client.Get(ctx, limits)
			stop()
			assert.ErrorIs(t, err, conf.ErrUnavailable, name)
			assert.NoError(t, client.Close(), name)
		}
		goleak.VerifyNone(t)
		assert.Equal(t, before, openFiles(t), name)
	}
}

// The TLS configuration is that of servers and name servers.
func TestWithTLS(t *testing.T) {
	authority := certtest.NewAuthority(t)
	serve := func(h http.Handler) *httptest.Server {
		web := httptest.NewUnstartedServer(h)
		web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // of handshakes that fail
		web.TLS = &tls.Config{
			Certificates: []tls.Certificate{authority.TLS(t, "127.0.0.1")},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
		}
		web.StartTLS()
		t.Cleanup(web.Close)
		return web
	}
	store := memstore.New()
	plain := run(t, store, nil)
	publish(t, plain.srv, "1")
	registry := namesrv.NewRegistry()
	secure, names := serve(httptransport.NewHandler(plain.srv)), serve(registry)
	at := httptest.NewServer(registry)
	t.Cleanup(at.Close)
	c, err := namesrv.NewClient([]string{at.URL})
	require.NoError(t, err)
	ctx, unregister := context.WithCancel(t.Context())
	registered := make(chan error, 1)
	go func() { registered <- c.Register(ctx, secure.URL) }()
	t.Cleanup(func() { unregister(); assert.NoError(t, <-registered) })
	require.Eventually(t, func() bool { _, err := c.Resolve(t.Context()); return err == nil }, time.Minute, time.Millisecond)

	config := dial.WithTLS(&tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{authority.TLS(t, "client")}})
	for name, open := range map[string]func(opts ...dial.Option) (diamond.Client, error){
		"server":      func(opts ...dial.Option) (diamond.Client, error) { return dial.Servers(secure.URL, opts...) },
		"name server": func(opts ...dial.Option) (diamond.Client, error) { return dial.NameServers(names.URL, opts...) },
		"resolver": func(opts ...dial.Option) (diamond.Client, error) {
			return dial.Resolver(transport.Static(secure.URL), opts...)
		},
	} {
		client, err := open(config, silent)
		require.NoError(t, err, name)
		got, err := client.Get(t.Context(), limits)
		require.NoError(t, err, name)
		assert.Equal(t, "1", got.Content)
		require.NoError(t, client.Close())

		client, err = open(silent)
		require.NoError(t, err, name)
		require.EventuallyWithT(t, func(e *assert.CollectT) {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			_, err := client.Peek(ctx, limits)
			assert.ErrorIs(e, err, conf.ErrUnavailable)
			assert.ErrorContains(e, err, "signed by unknown authority")
		}, time.Minute, time.Millisecond, name)
		require.NoError(t, client.Close())

		_, err = open(config, dial.WithHTTP(httptransport.WithHTTPClient(&http.Client{})), silent)
		assert.ErrorIs(t, err, conf.ErrInvalid, name)
	}
	_, err = dial.Servers("127.0.0.1,http://127.0.0.1", config)
	assert.ErrorIs(t, err, conf.ErrInvalid, "it would have no effect")
}

// X16: a client that expects TLS, because of its options or because it calls the name server
// by https, uses no server without TLS, though the list has one. Others do.
func TestX16_NoDowngrade(t *testing.T) {
	authority := certtest.NewAuthority(t)
	dir := t.TempDir()
	authority.Write(t, dir, "127.0.0.1")
	files := tlsfile.Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	certs, err := tlsfile.NewServer(files, tlsfile.RequiredClientCert)
	require.NoError(t, err)
	store := memstore.New()
	var asked atomic.Int64
	rogue := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	t.Cleanup(rogue.Close)
	serve := func(h http.Handler) *httptest.Server {
		web := httptest.NewUnstartedServer(h)
		web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		web.TLS = certs.Config()
		web.StartTLS()
		t.Cleanup(web.Close)
		return web
	}
	good := run(t, store, nil)
	publish(t, good.srv, "1")
	registry := namesrv.NewRegistry()
	names, secure := httptest.NewServer(registry), serve(httptransport.NewHandler(good.srv))
	t.Cleanup(names.Close)
	secureNames := serve(registry)
	c, err := namesrv.NewClient([]string{names.URL})
	require.NoError(t, err)
	register := func(addr string) (unregister func()) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Register(ctx, addr) }()
		require.EventuallyWithT(t, func(e *assert.CollectT) {
			found, _ := c.Resolve(t.Context())
			assert.Contains(e, found, addr)
		}, time.Minute, time.Millisecond)
		return func() { stop(); assert.NoError(t, <-done) }
	}
	defer register(strings.TrimPrefix(rogue.URL, "http://"))()
	for name, open := range map[string]func() (diamond.Client, error){
		"files": func() (diamond.Client, error) { return dial.NameServers(names.URL, dial.WithTLSFiles(files), silent) },
		"https name server": func() (diamond.Client, error) {
			return dial.NameServers(secureNames.URL, dial.WithTLSFiles(files), silent)
		},
		"configuration": func() (diamond.Client, error) {
			return dial.NameServers(names.URL, dial.WithTLS(&tls.Config{RootCAs: authority.Pool()}), silent)
		},
	} {
		client, err := open()
		require.NoError(t, err, name)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		_, err = client.Get(ctx, limits)
		stop()
		require.ErrorIs(t, err, conf.ErrUnavailable, name)
		require.NoError(t, client.Close())
	}
	assert.Zero(t, asked.Load(), "the server without TLS was never asked")

	defer register(secure.URL)()
	client, err := dial.NameServers(names.URL, dial.WithTLSFiles(files), silent)
	require.NoError(t, err)
	got, err := client.Get(t.Context(), limits)
	require.NoError(t, err)
	assert.Equal(t, "1", got.Content)
	require.NoError(t, client.Close())
	assert.Zero(t, asked.Load())
	_, err = dial.Servers(secure.URL, dial.WithTLSFiles(files), dial.WithTLS(&tls.Config{}))
	assert.ErrorIs(t, err, conf.ErrInvalid)
	_, err = dial.Servers(secure.URL, dial.WithTLSFiles(tlsfile.Files{CA: filepath.Join(dir, "none")}))
	assert.ErrorContains(t, err, "certificate authority")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A round tripper of the program sees requests to servers, and none to name servers.
func TestWithHTTP_RoundTripper(t *testing.T) {
	names := newNames(t)
	node := names.run(t, memstore.New())
	publish(t, node.srv, "1")
	var toServer, toOthers atomic.Int64
	pool := new(http.Transport)
	defer pool.CloseIdleConnections()
	client, err := dial.NameServers(names.addr, silent, dial.WithHTTP(httptransport.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == node.addr {
				toServer.Add(1)
			} else {
				toOthers.Add(1)
			}
			return pool.RoundTrip(r)
		}),
	})), dial.WithHTTP(httptransport.WithMaxAnswer(1<<20))) // adds to the one before
	require.NoError(t, err)
	_, err = client.Get(t.Context(), limits)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	assert.Positive(t, toServer.Load())
	assert.Zero(t, toOthers.Load())
}

// The options of the client are the client's.
func TestWithClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv := newNetwork(t), newServer(t, memstore.New())
		var header atomic.Value
		handler := httptransport.NewHandler(srv)
		n.put(t, "h:1210", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header.Store(r.Header.Get("Diamond-Client"))
			handler.ServeHTTP(w, r)
		}))
		publish(t, srv, "1")
		client, err := dial.Servers("h", n.option(), silent, dial.WithClient(diamond.WithClientInfo(diamond.ClientInfo{App: "shop"})), dial.WithClient())
		require.NoError(t, err)
		_, err = client.Get(t.Context(), limits)
		require.NoError(t, err)
		assert.Contains(t, header.Load(), "shop")
		require.NoError(t, client.Close())
	})
}

// An operator learns of an outage and its end, each once, unless the program wants silence.
func TestLogging(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, opts := range map[string][]dial.Option{
		"default": nil, "nil": {dial.WithLogger(nil)}, "another": {dial.WithLogger(slog.New(slog.DiscardHandler)), dial.WithLogger(nil)}, "silence": {silent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := newRecords()
				slog.SetDefault(slog.New(records))
				n, srv := newNetwork(t), newServer(t, memstore.New())
				remove := n.put(t, "h:1210", httptransport.NewHandler(srv))
				publish(t, srv, "1")
				client, err := dial.Servers("h", append(opts, n.option())...)
				require.NoError(t, err)
				defer client.Close()
				bind(t, client)
				time.Sleep(time.Minute)
				assert.Empty(t, records.take(""))

				remove()
				time.Sleep(10 * time.Minute)
				warned := records.take("WARN")
				n.put(t, "h:1210", httptransport.NewHandler(srv))
				time.Sleep(10 * time.Minute)
				over := records.take("")
				if name == "silence" {
					assert.Empty(t, append(warned, over...))
					return
				}
				require.Len(t, warned, 1)
				assert.Contains(t, warned[0], "WARN no server gives a usable answer")
				assert.Equal(t, []string{"INFO servers answer again"}, over)
			})
		})
	}
}

// A callback that panics is logged, although the client is not the root's own.
func TestLogging_Panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv, records := newNetwork(t), newServer(t, memstore.New()), newRecords()
		n.put(t, "h:1210", httptransport.NewHandler(srv))
		publish(t, srv, "1")
		client, err := dial.Servers("h", n.option(), dial.WithLogger(slog.New(records)))
		require.NoError(t, err)
		v, err := diamond.Bind[string](t.Context(), client, limits)
		require.NoError(t, err)
		v.OnChange(func(_, _ *string) { panic("oh") })
		publish(t, srv, "2")
		time.Sleep(time.Second)
		assert.NotEmpty(t, records.take("panicked"))
		require.NoError(t, client.Close())
	})
}

// resolver returns what it is told to.
type resolver struct{ says atomic.Value }

type resolved struct {
	addrs []string
	err   error
}

func (r *resolver) set(err error, addrs ...string) { r.says.Store(resolved{addrs, err}) }

func (r *resolver) Resolve(context.Context) ([]string, error) {
	says := r.says.Load().(resolved)
	return says.addrs, says.err
}

// A resolver of the program may fail, and return wrong addresses.
func TestResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv, records := newNetwork(t), newServer(t, memstore.New()), newRecords()
		n.put(t, "good:1210", httptransport.NewHandler(srv))
		publish(t, srv, "1")
		r := new(resolver)
		r.set(errors.New("no route"))
		client, err := dial.Resolver(r, n.option(), dial.WithLogger(slog.New(records)))
		require.NoError(t, err)
		get := func() error {
			_, err := client.Peek(t.Context(), limits)
			return err
		}
		fails := func(why string) {
			t.Helper()
			err := get()
			assert.ErrorIs(t, err, conf.ErrUnavailable)
			assert.ErrorContains(t, err, why)
		}
		fails("no route")
		r.set(nil)
		fails("the list of servers is empty")
		r.set(nil, ":1")
		fails(`address ":1": has no host`)
		time.Sleep(10 * time.Minute)
		assert.Len(t, records.take("could not be resolved"), 1, "an outage is told once, whatever its reason is")

		r.set(nil, "good", "bad address", ":1", "bad address", "dead")
		time.Sleep(10 * time.Minute)
		require.NoError(t, get())
		assert.Equal(t, []string{`WARN the resolver returned a wrong address, which is left out: diamond: invalid: address "bad address": is neither host:port nor an http URL`},
			records.take("wrong address"), "once, and not again while it is in the list")
		assert.NotContains(t, n.asked, "bad address:1210")

		r.set(errors.New("no route"))
		time.Sleep(10 * time.Minute)
		require.NoError(t, get(), "the last good list is kept")
		r.set(nil, "good", "bad address")
		time.Sleep(10 * time.Minute)
		assert.Empty(t, records.take("wrong address"), "a failure is no new list")
		r.set(nil, "good")
		time.Sleep(10 * time.Minute)
		r.set(nil, "good", "bad address")
		time.Sleep(10 * time.Minute)
		assert.Len(t, records.take("wrong address"), 1, "it was gone in between")
		require.NoError(t, client.Close())
	})
}
