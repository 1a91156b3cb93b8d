package dial_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

type Limits struct {
	RateLimit int `yaml:"rate_limit"`
}

// A program that follows its limits. The second address is one of a server that is down.
func ExampleServers() {
	handler, closeServer := newCentre()
	defer closeServer()
	centre := httptest.NewServer(handler) // a program has the addresses of its servers
	defer centre.Close()
	files := must(os.MkdirTemp("", "service-data")) // a program has a directory of its own
	defer os.RemoveAll(files)

	client, err := dial.Servers(centre.URL+", 127.0.0.1:1", dial.WithFiles(files))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	limits, err := diamond.Bind[Limits](context.Background(), client, diamond.NewKey("payment", "limits.yaml"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(limits.Get().RateLimit)
	// Output: 100
}

// A program that says who it is, waits for longer than by default, and logs to a logger of
// its own. The name servers are down, so it uses its default.
func ExampleNameServers() {
	client, err := dial.NameServers("127.0.0.1:1, http://127.0.0.1:2",
		dial.WithLogger(slog.New(slog.DiscardHandler)),
		dial.WithClient(
			diamond.WithClientInfo(diamond.ClientInfo{App: "shop"}),
			diamond.WithTimeouts(diamond.Timeouts{First: 10 * time.Second}),
		))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	limits, err := diamond.Bind[Limits](context.Background(), client, diamond.NewKey("payment", "limits.yaml"),
		diamond.WithDefault(Limits{RateLimit: 7}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(limits.Get().RateLimit)
	// Output: 7
}

// Servers behind a proxy with certificates of the company.
func ExampleWithTLS() {
	handler, closeServer := newCentre()
	defer closeServer()
	centre := httptest.NewTLSServer(handler)
	defer centre.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(centre.Certificate())

	client := must(dial.Servers(centre.URL, dial.WithTLS(&tls.Config{RootCAs: authorities})))
	defer client.Close()

	config := must(client.Get(context.Background(), diamond.NewKey("payment", "limits.yaml")))
	fmt.Println(config.Content)
	// Output: rate_limit: 100
}

// authorized adds a token to each request.
type authorized struct{ token string }

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.token)
	return http.DefaultTransport.RoundTrip(r)
}

// Servers behind a proxy that wants a token.
func ExampleWithHTTP() {
	handler, closeServer := newCentre()
	defer closeServer()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	defer proxy.Close()

	web := &http.Client{Transport: authorized{token: "secret"}}
	client := must(dial.Servers(proxy.URL, dial.WithHTTP(httptransport.WithHTTPClient(web))))
	defer client.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	config := must(client.Get(context.Background(), diamond.NewKey("payment", "limits.yaml")))
	fmt.Println(config.Content)
	// Output: rate_limit: 100
}

// newCentre returns what a server with limits serves, and a function that closes it.
func newCentre() (handler http.Handler, closeServer func() error) {
	srv := must(diamond.NewServer(memstore.New()))
	must(srv.Commit(context.Background(), &conf.CommitRequest{Set: diamond.ChangeSet{Drafts: []diamond.Draft{
		{Key: diamond.NewKey("payment", "limits.yaml"), Content: "rate_limit: 100"},
	}}}))
	return httptransport.NewHandler(srv), srv.Close
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
