package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// away is a storage that cannot be reached from some moment on.
type away struct {
	diamond.Storage
	gone atomic.Bool
}

func (s *away) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (conf.Batch, error) {
	if s.gone.Load() {
		return conf.Batch{}, conf.Errorf(diamond.ErrUnavailable, "gone")
	}
	return s.Storage.Changes(ctx, after, maxBytes)
}

// A value of a server that has lost its storage may be an old one, and is shown as such.
func TestGet_SaysThatAValueMayBeOld(t *testing.T) {
	store := &away{Storage: memstore.New()}
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	defer srv.Close()
	_, err = srv.Commit(t.Context(), &conf.CommitRequest{Set: diamond.ChangeSet{
		Drafts: []diamond.Draft{{Key: diamond.Key{DataID: "linna"}, Content: "x"}},
	}})
	require.NoError(t, err)
	hs := httptest.NewServer(httptransport.NewHandler(srv))
	defer hs.Close()

	out := invoke(t, "get", "linna", "--server", hs.URL)
	assert.Equal(t, outcome{exitOK, "x", ""}, out)
	store.gone.Store(true)
	require.Eventually(t, func() bool { return srv.Status().Stale > 0 }, time.Minute, time.Millisecond)

	out = invoke(t, "get", "linna", "--server", hs.URL)
	assert.Equal(t, "x", out.stdout)
	assert.Equal(t, exitOK, out.code)
	assert.Contains(t, out.stderr, "the server has not reached its storage for ")
	var e entryOut
	require.NoError(t, json.Unmarshal([]byte(invoke(t, "get", "linna", "--server", hs.URL, "-o", "json").stdout), &e))
	stale, err := time.ParseDuration(e.Stale)
	require.NoError(t, err)
	assert.Positive(t, stale)

	for _, args := range [][]string{{"ls"}, {"ls", "-o", "json"}, {"export", filepath.Join(t.TempDir(), "out")}} {
		out := invoke(t, append(args, "--server", hs.URL)...)
		assert.Equal(t, exitOK, out.code)
		assert.Contains(t, out.stderr, "the server has not reached its storage for ", args)
	}
}

// An age is said with as many digits as anybody reads.
func TestGet_ShortAge(t *testing.T) {
	for age, said := range map[time.Duration]string{
		1234567 * time.Nanosecond:             "1ms",
		11316290038 * time.Nanosecond:         "11s",
		90*time.Minute + 400*time.Microsecond: "1h30m0s",
	} {
		assert.Equal(t, said, shortAge(age).String())
	}
}

// A read bears a server that comes while it asks, and says why it could not where none does.
func TestGet_TriesAgain(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "g/a", writeFile(t, "x"))
	answers := make(chan outcome, 1)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	go func() { answers <- invoke(t, "get", "g/a", "--server", addr, "--timeout", "60s") }()
	ln := listenAgain(t, addr)
	defer ln.Close()
	served := &http.Server{Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimPrefix(d.server, "http://")})}
	go func() { _ = served.Serve(ln) }()
	defer served.Close()
	assert.Equal(t, outcome{exitOK, "x", ""}, <-answers)

	out := invoke(t, "get", "g/a", "--server", "127.0.0.1:1", "--timeout", "300ms")
	assert.Equal(t, exitError, out.code)
	assert.Regexp(t, `^gdiamond: fetch public/g/a: unavailable: 127\.0\.0\.1:1: .*refused; --timeout allows more time\n$`, out.stderr)
}

// listenAgain listens at an address that was listened at before.
func listenAgain(t *testing.T, addr string) net.Listener {
	t.Helper()
	var ln net.Listener
	require.Eventually(t, func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", addr)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return ln
}
