package server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// deciding is a server that decides about rights. The token gd_operator may list everything,
// and gd_service may not.
type deciding struct {
	diamond.Server
	mode string // "" before it has loaded anything
}

func (d *deciding) Prove(_ context.Context, proof conf.Proof) (conf.Principal, error) {
	name, ok := strings.CutPrefix(proof.Token, "gd_")
	if !ok {
		return conf.Principal{}, conf.ErrUnauthenticated
	}
	return conf.Principal{Name: "token:" + name}, nil
}

func (d *deciding) WhoAmI(context.Context) (conf.Identity, error) {
	if d.mode == "" {
		return conf.Identity{}, conf.ErrUnavailable
	}
	return conf.Identity{Mode: d.mode}, nil
}

func (d *deciding) Can(ctx context.Context, req conf.CanRequest) (conf.CanResponse, error) {
	allowed := conf.CallerFrom(ctx).Principal.Name == "token:operator" && req == conf.CanRequest{Verb: "list", Scope: "all"}
	return conf.CanResponse{Allowed: allowed}, nil
}

func TestPages_AskForTheRightToListEverything(t *testing.T) {
	store := memstore.New()
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	d := &deciding{Server: srv, mode: conf.ModeClosed}
	own := memnet.Listen()
	r := hosted(t, d, server.WithPagesListener(own), server.WithCheck("rights", func() (bool, string) { return false, "none" }))
	r.publish(conf.NewKey("g", "a"), "x")
	ask := func(path, authorization string) (*http.Response, string) {
		return get(t, r.client, path, authorization)
	}
	for token, status := range map[string]int{
		"": http.StatusForbidden, "Bearer gd_service": http.StatusForbidden, "Bearer forged": http.StatusUnauthorized,
		"Digest x": http.StatusUnauthorized, "Bearer gd_operator": http.StatusOK,
	} {
		res, body := ask("/metrics", token)
		assert.Equal(t, status, res.StatusCode, token)
		assert.Equal(t, status == http.StatusOK, strings.Contains(body, "diamond_keys"), token)
		assert.Equal(t, status == http.StatusUnauthorized, res.Header.Get("WWW-Authenticate") != "", token)
		res, body = ask("/readyz?verbose", token)
		assert.Equal(t, http.StatusOK, res.StatusCode, "a probe has no token")
		if status == http.StatusOK {
			assert.Contains(t, body, "[-] rights: none\nready\n")
		} else {
			assert.Equal(t, "ready\n", body, token)
		}
	}
	for path, want := range map[string]string{"/livez": "ok\n", "/healthz": "ok\n", "/readyz": "ready\n"} {
		_, body := ask(path, "")
		assert.Equal(t, want, body, path)
		_, body = ask(path, "Bearer forged")
		assert.Equal(t, want, body, path)
	}

	// Their own listener asks nobody, and has nothing else.
	pages := &http.Client{Transport: &http.Transport{DialContext: own.DialContext}}
	defer pages.CloseIdleConnections()
	_, body := get(t, pages, "/metrics", "")
	assert.Contains(t, body, "diamond_keys 1")
	_, body = get(t, pages, "/readyz?verbose", "")
	assert.Contains(t, body, "[+] reads: loaded")
	for _, path := range []string{"/v1/configs/public/g/a", "/v1/peer/nudge", "/diamond-server/config?dataId=a&group=g", "/openapi.yaml"} {
		res, _ := get(t, pages, path, "")
		assert.Equal(t, http.StatusNotFound, res.StatusCode, path)
	}
}

// In observe mode nothing is refused, a store without rights asks nobody, and whoever looks for
// the reason why nothing is loaded needs no right.
func TestPages_OpenWhereNothingIsRefused(t *testing.T) {
	for _, mode := range []string{conf.ModeObserve, conf.ModeOpen, ""} {
		store := memstore.New()
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		r := hosted(t, &deciding{Server: srv, mode: mode})
		res, body := get(t, r.client, "/metrics", "Bearer forged")
		assert.Equal(t, http.StatusOK, res.StatusCode, mode)
		assert.Contains(t, body, "diamond_keys")
		_, body = get(t, r.client, "/readyz?verbose", "")
		assert.Contains(t, body, "[+] storage")
		r.stop()
		r.wait()
		require.NoError(t, store.Close())
	}
}

// A Centre is asked by the pages.
var _ interface {
	httptransport.Prover
	httptransport.Knower
	server.Governed
} = (*govern.Centre)(nil)

// proves, knows and governs are servers that decide about rights, each with one of the methods
// by which that shows.
type (
	proves struct {
		diamond.Server
		httptransport.Prover
	}
	knows struct {
		diamond.Server
		httptransport.Knower
	}
	governs struct {
		diamond.Server
		server.Governed
	}
)

// ruling has a status of rights.
type ruling struct{}

func (ruling) RightsStatus() conf.RightsStatus { return conf.RightsStatus{} }

// The pages of a server that decides about rights, and lacks a method by which the node would
// ask, are shown to nobody.
func TestPages_ClosedWhereTheServerCannotBeAsked(t *testing.T) {
	store := memstore.New()
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	for name, partly := range map[string]func(srv diamond.Server) diamond.Server{
		"proves":  func(srv diamond.Server) diamond.Server { return &proves{srv, &deciding{}} },
		"knows":   func(srv diamond.Server) diamond.Server { return &knows{srv, &deciding{}} },
		"governs": func(srv diamond.Server) diamond.Server { return &governs{srv, ruling{}} },
	} {
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		r := hosted(t, partly(srv))
		res, body := get(t, r.client, "/metrics", "Bearer gd_operator")
		assert.Equal(t, http.StatusForbidden, res.StatusCode, name)
		assert.NotContains(t, body, "diamond_keys", name)
		_, body = get(t, r.client, "/readyz?verbose", "")
		assert.NotContains(t, body, "storage", name)
		r.stop()
		r.wait()
	}
}

func get(t *testing.T, client *http.Client, path, authorization string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://node"+path, nil)
	require.NoError(t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}
