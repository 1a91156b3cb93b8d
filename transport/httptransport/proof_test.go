package httptransport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

func basic(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// canary is a token that must not be found where secrets do not belong.
const canary = "gd_canary0123456789-_"

func TestProof_Headers(t *testing.T) {
	for _, c := range []struct {
		values      []string
		user, token string // "" and no error: anonymous
		wrong       string // what the error says
	}{
		{values: nil},
		{values: []string{"Bearer " + canary}, token: canary},
		{values: []string{"bearer  " + canary + " "}, token: canary},
		{values: []string{"Bearer a.b~c+d/e-_="}, token: "a.b~c+d/e-_="},
		{values: []string{"Bearer " + strings.Repeat("x", 4096)}, token: strings.Repeat("x", 4096)},
		{values: []string{"Bearer " + strings.Repeat("x", 4097)}, wrong: "token is empty, too long"},
		{values: []string{"Bearer"}, wrong: "token is empty"},
		{values: []string{"Bearer "}, wrong: "token is empty"},
		{values: []string{"Bearer ="}, wrong: "token is empty"},
		{values: []string{""}, wrong: "scheme"},
		{values: []string{canary}, wrong: "scheme"},
		{values: []string{"Digest " + canary}, wrong: "scheme"},
		{values: []string{"Bearer " + canary + ", Bearer " + canary}, wrong: "characters"},
		{values: []string{"Bearer " + canary + " " + canary}, wrong: "characters"},
		{values: []string{"Bearer " + canary + "\t"}, wrong: "characters"},
		{values: []string{"Bearer " + canary, "Bearer " + canary}, wrong: "more than one"},
		{values: []string{"Bearer " + canary, ""}, wrong: "more than one"},
		{values: []string{basic(":" + canary)}, token: canary},
		{values: []string{basic("joe:" + canary)}, user: "joe", token: canary},
		{values: []string{basic("token:ci:" + canary)}, user: "token:ci", token: canary},
		{values: []string{basic(strings.Repeat("u", 128) + ":" + canary)}, user: strings.Repeat("u", 128), token: canary},
		{values: []string{basic(strings.Repeat("u", 128) + ":" + strings.Repeat("x", 4096))}, user: strings.Repeat("u", 128), token: strings.Repeat("x", 4096)},
		{values: []string{"bAsIc " + basic("joe:" + canary)[6:]}, user: "joe", token: canary},
		{values: []string{basic(strings.Repeat("u", 129) + ":" + canary)}, wrong: "user name is too long"},
		{values: []string{"Basic YTpi\n"}, wrong: "base64"},
		{values: []string{"Basic YTpiYw=="}, token: "bc", user: "a"},
		{values: []string{"Basic YTpiYx=="}, wrong: "base64"}, // a second spelling of the same
		{values: []string{basic("joe:")}, wrong: "token is empty"},
		{values: []string{basic(canary)}, wrong: "no colon"},
		{values: []string{"Basic " + canary}, wrong: "base64"},
		{values: []string{basic("joe:" + canary)[:20]}, wrong: ""},
		{values: []string{"Basic " + strings.Repeat("A", 8000)}, wrong: "too long"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.values != nil {
			r.Header["Authorization"] = c.values
		}
		proof, err := httptransport.ReadProof(r)
		if c.token == "" && c.values != nil {
			require.ErrorIs(t, err, conf.ErrUnauthenticated, "%q", c.values)
			assert.ErrorContains(t, err, c.wrong, "%q", c.values)
			assert.NotContains(t, err.Error(), "canary", "%q", c.values)
			assert.Zero(t, proof)
			continue
		}
		require.NoError(t, err, "%q", c.values)
		assert.Equal(t, conf.Proof{User: c.user, Token: c.token, Address: r.RemoteAddr}, proof, "%q", c.values)
		assert.Equal(t, c.token == "", proof.Anonymous())
	}
}

func TestProof_Certificates(t *testing.T) {
	uri, err := url.Parse("spiffe://team/service")
	require.NoError(t, err)
	leaf := &x509.Certificate{DNSNames: []string{"a.test", "b.test"}, URIs: []*url.URL{uri}, EmailAddresses: []string{"x@y.test"}}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	proof, err := httptransport.ReadProof(r)
	require.NoError(t, err)
	assert.True(t, proof.Anonymous(), "a certificate that nobody has verified proves nothing")

	r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
	proof, err = httptransport.ReadProof(r)
	require.NoError(t, err)
	assert.Equal(t, []string{"dns:a.test", "dns:b.test", "uri:spiffe://team/service", "email:x@y.test"}, proof.Names)
	assert.False(t, proof.Anonymous())

	r.Header.Set("Authorization", "Bearer "+canary)
	_, err = httptransport.ReadProof(r)
	require.ErrorIs(t, err, conf.ErrUnauthenticated, "two proofs")

	r.Header.Del("Authorization")
	r.TLS.VerifiedChains = [][]*x509.Certificate{{{}}}
	_, err = httptransport.ReadProof(r)
	require.ErrorIs(t, err, conf.ErrUnauthenticated, "a certificate without names is a proof of nobody")
}

// proving is a server that knows one token. It records the callers of its methods.
type proving struct {
	diamond.Server
	proofs  atomic.Int32
	callers chan conf.Caller
}

func (p *proving) Prove(_ context.Context, proof conf.Proof) (conf.Principal, error) {
	p.proofs.Add(1)
	if proof.Token != canary || proof.Address == "" {
		return conf.Principal{}, conf.Errorf(conf.ErrUnauthenticated, "the token is not known")
	}
	return conf.Principal{Name: "token:ci"}, nil
}

func (p *proving) told(ctx context.Context) { p.callers <- conf.CallerFrom(ctx) }

func (p *proving) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	p.told(ctx)
	return p.Server.Fetch(ctx, req)
}
func (p *proving) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	p.told(ctx)
	return p.Server.Poll(ctx, req)
}
func (p *proving) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	p.told(ctx)
	return p.Server.Commit(ctx, req)
}
func (p *proving) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	p.told(ctx)
	return p.Server.Changes(ctx, req)
}
func (p *proving) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	p.told(ctx)
	return p.Server.List(ctx, req)
}
func (p *proving) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	p.told(ctx)
	return p.Server.History(ctx, req)
}
func (p *proving) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	p.told(ctx)
	return p.Server.Report(ctx, req)
}
func (p *proving) Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	p.told(ctx)
	return p.Server.(httptransport.Monitor).Listeners(ctx, req)
}
func (p *proving) Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	p.told(ctx)
	return p.Server.(httptransport.Monitor).Clients(ctx, req)
}

func newProving(t *testing.T) *proving {
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	return &proving{Server: srv, callers: make(chan conf.Caller, 10)}
}

// Every route that asks the server, of every protocol, tells it who asks, and asks nobody
// for a proof that is not there. A proof that is not valid ends the request.
func TestIdentity_EveryRoute(t *testing.T) {
	for route := range good {
		method, path, _ := strings.Cut(route, " ")
		for name, header := range map[string]string{"bearer": "Bearer " + canary, "basic": basic(":" + canary)} {
			srv := newProving(t)
			c := protocoltest.Of(t, srv, httptransport.WithMaxContent(protocoltest.MaxContent))
			c.Publish(conf.NewKey("g", "k"), "content")
			<-srv.callers
			r := request(method, path, good[route].body)
			r.Header.Set("Authorization", header)
			assert.Less(t, send(c.H, r).Code, 400, "%s %s", name, route)
			assert.EqualValues(t, 1, srv.proofs.Load(), "%s %s", name, route)
			for len(srv.callers) > 0 {
				assert.Equal(t, conf.Caller{Principal: conf.Principal{Name: "token:ci"}, Address: r.RemoteAddr}, <-srv.callers, route)
			}

			r = request(method, path, good[route].body)
			assert.Less(t, send(c.H, r).Code, 500, "%s %s", name, route)
			assert.EqualValues(t, 1, srv.proofs.Load(), "%s: there is no proof", route)
			for len(srv.callers) > 0 {
				assert.Equal(t, conf.Caller{Address: r.RemoteAddr}, <-srv.callers, route)
			}

			for _, wrong := range []string{"Bearer other", "Bearer", basic("joe:other")} {
				r = request(method, path, good[route].body)
				r.Header.Set("Authorization", wrong)
				w := send(c.H, r)
				assert.Equal(t, http.StatusUnauthorized, w.Code, "%s %q", route, wrong)
				assert.NotEmpty(t, w.Header().Get("WWW-Authenticate"), route)
				assert.Empty(t, srv.callers, "%s: a refused proof is nobody's request", route)
			}
		}
	}
}

// moded is a server that decides about rights in a mode.
type moded struct {
	*proving
	mode string // "" before it knows
}

func (m *moded) WhoAmI(context.Context) (conf.Identity, error) {
	if m.mode == "" {
		return conf.Identity{}, conf.ErrUnavailable
	}
	return conf.Identity{Mode: m.mode}, nil
}

func (m *moded) Can(context.Context, conf.CanRequest) (conf.CanResponse, error) {
	return conf.CanResponse{}, nil
}

// A live fleet may send what is no proof to this server. Before rights are enforced, that
// fails no request.
func TestIdentity_MalformedProofsWhereNothingIsRefused(t *testing.T) {
	for mode, status := range map[string]int{
		conf.ModeOpen: http.StatusNotFound, conf.ModeObserve: http.StatusNotFound,
		conf.ModeClosed: http.StatusUnauthorized, "": http.StatusUnauthorized,
	} {
		srv := newProving(t)
		c := protocoltest.Of(t, &moded{srv, mode}, httptransport.WithMaxContent(protocoltest.MaxContent))
		for _, header := range []string{"Digest username=joe", "Bearer", "Basic ?"} {
			r := request(http.MethodGet, "/v1/configs/public/g/k", "")
			r.Header.Set("Authorization", header)
			assert.Equal(t, status, send(c.H, r).Code, "%s in mode %q", header, mode)
			if status == http.StatusNotFound {
				assert.Empty(t, (<-srv.callers).Principal)
			}
		}
		assert.Zero(t, srv.proofs.Load())
	}
}

// counting counts how much of a body is read.
type counting struct{ read int }

func (c *counting) Read(p []byte) (int, error) { c.read += len(p); return len(p), nil }
func (c *counting) Close() error               { return nil }

// A body that comes with a proof that is not valid is not read, and not waited for.
func TestX19_NoBodyWithoutAValidProof(t *testing.T) {
	c := protocoltest.Of(t, newProving(t))
	for _, target := range []string{"PUT /v1/configs/public/g/k", "POST /v1/changesets", "POST /v1/poll", "POST /v1/reports", "POST /diamond-server/publishConfig", "POST /diamond-server/getProbeModify"} {
		method, path, _ := strings.Cut(target, " ")
		body := &counting{}
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, nil)
		r.Body, r.ContentLength = body, 9<<20
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer other")
		w := send(c.H, r)
		assert.Equal(t, http.StatusUnauthorized, w.Code, target)
		assert.Zero(t, body.read, target)
		assert.Equal(t, "close", w.Header().Get("Connection"), target)
		assert.Zero(t, httptransport.MemoryHeld(c.H), target)
	}
}

// The proof comes before admission, so that what is shed is known to be of somebody, and
// the function of the user is in the place of the server's own.
func TestIdentity_OfTheUser(t *testing.T) {
	var log clienttest.Logs
	admitted := 0
	c := protocoltest.Of(t, newProving(t),
		httptransport.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		httptransport.WithAdmission(func(*http.Request) error { admitted++; return nil }),
		httptransport.WithIdentity(func(r *http.Request) (conf.Principal, error) {
			switch r.Header.Get("X-Who") {
			case "away":
				return conf.Principal{}, conf.Errorf(conf.ErrUnavailable, "try again")
			case "joe":
				return conf.Principal{Name: "user:joe"}, nil
			case "":
				return conf.Principal{}, nil
			}
			return conf.Principal{}, errors.New("bad secret " + r.Header.Get("X-Who"))
		}))
	for who, status := range map[string]int{"": 404, "joe": 404, "away": 503, canary: 401} {
		admitted = 0
		w := c.Ask(http.MethodGet, "/v1/configs/public/g/none", "", "X-Who", who, "Authorization", "Bearer "+canary)
		assert.Equal(t, status, w.Code, who)
		assert.Equal(t, status == 404, admitted == 1, who)
		assert.NotContains(t, w.Body.String(), "canary")
	}
	assert.NotContains(t, log.String(), "canary", "no proof stands in a log")
}

// What bodies take counts for the principal, wherever it asks from.
func TestIdentity_BodiesCountForThePrincipal(t *testing.T) {
	var held atomic.Int64
	reading, proceed := make(chan bool), make(chan bool)
	c := protocoltest.New(t,
		httptransport.WithMemoryBudget(1<<20, 100<<10),
		httptransport.WithIdentity(func(r *http.Request) (conf.Principal, error) {
			return conf.Principal{Name: r.Header.Get("X-Who")}, nil
		}))
	ask := func(who, address string, body io.Reader) int {
		r := httptest.NewRequest(http.MethodPut, "http://127.0.0.1/v1/configs/public/g/k", body)
		r.ContentLength = 90 << 10
		r.RemoteAddr = address
		r.Header.Set("X-Who", who)
		return send(c.H, r).Code
	}
	whole := func() io.Reader { return strings.NewReader(strings.Repeat("x", 90<<10)) }
	slow := io.MultiReader(strings.NewReader(strings.Repeat("x", 80<<10)), waiting{reading, proceed}, strings.NewReader(strings.Repeat("x", 10<<10)))
	done := make(chan int)
	go func() { done <- ask("token:a", "10.0.0.1:1", slow) }()
	<-reading
	held.Store(httptransport.MemoryHeld(c.H))
	assert.Positive(t, held.Load())
	assert.Equal(t, 429, ask("token:a", "10.0.0.2:1", whole()), "the same principal from elsewhere")
	assert.Equal(t, 200, ask("token:b", "10.0.0.1:1", whole()), "another one from there")
	assert.Equal(t, 200, ask("", "10.0.0.1:1", whole()), "an anonymous one from there")
	close(proceed)
	assert.Equal(t, 200, <-done)
	assert.Zero(t, httptransport.MemoryHeld(c.H))
}

// waiting is a reader that says when it is read, and ends when it may.
type waiting struct{ reading, proceed chan bool }

func (w waiting) Read([]byte) (int, error) {
	w.reading <- true
	<-w.proceed
	return 0, io.EOF
}

// FuzzProof: whatever the headers are, they are no proof, one proof that stands in them, or
// refused; and nothing of them is in the error.
func FuzzProof(f *testing.F) {
	for _, value := range []string{"", "Bearer x", "bearer x=", basic("a:b"), basic("token:n:gd_x"), "Basic !", "Bearer a, Bearer b", "Digest x", "Basic"} {
		f.Add(value, "", 1)
		f.Add(value, value, 2)
	}
	f.Add(basic("a:b")[:8]+"\n"+basic("a:b")[8:], "", 1)
	f.Fuzz(func(t *testing.T, first, second string, count int) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		values := []string{first, second}[:max(0, min(count, 2))]
		if len(values) > 0 {
			r.Header["Authorization"] = values
		}
		proof, err := httptransport.ReadProof(r)
		if err != nil {
			require.ErrorIs(t, err, conf.ErrUnauthenticated)
			require.Zero(t, proof)
			require.NotEmpty(t, values)
			require.Less(t, len(err.Error()), 120)
			return
		}
		require.Empty(t, proof.Names)
		if proof.Anonymous() {
			require.Empty(t, values, "what is there is never taken for nothing")
			require.Empty(t, proof.User)
			return
		}
		require.Len(t, values, 1, "two proofs")
		require.LessOrEqual(t, len(proof.Token), 4096)
		require.NotContains(t, proof.Token, ":")
		require.NotContains(t, proof.Token, ",")
		scheme, rest, ok := strings.Cut(first, " ")
		require.True(t, ok)
		switch strings.ToLower(scheme) {
		case "bearer":
			require.Equal(t, strings.Trim(rest, " "), proof.Token)
			require.Empty(t, proof.User)
		case "basic":
			require.Equal(t, strings.Trim(rest, " "), base64.StdEncoding.EncodeToString([]byte(proof.User+":"+proof.Token)))
		default:
			t.Fatal("another scheme")
		}
	})
}
