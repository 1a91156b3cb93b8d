package dial_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// proofs has the Authorization headers that a server got.
type proofs struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

// before returns a handler that notes the header, and then calls h.
func (p *proofs) before(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.list = append(p.list, r.Header.Values("Authorization")...)
		if len(r.Header.Values("Authorization")) == 0 {
			p.list = append(p.list, "")
		}
		p.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// take returns the different headers that have come since the last call, sorted.
func (p *proofs) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	slices.Sort(list)
	return slices.Compact(list)
}

// Each request to a server has the token.
func TestWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv := newNetwork(t), newServer(t, memstore.New())
		var got proofs
		n.put(t, "cfg-1:1210", got.before(httptransport.NewHandler(srv)))
		publish(t, srv, "1")
		client, err := dial.Servers("cfg-1", n.option(), silent, dial.WithToken("gd_one"))
		require.NoError(t, err)
		_, changed := bind(t, client)
		publish(t, srv, "2")
		await(t, changed, "2")
		require.NoError(t, client.Close())
		assert.Equal(t, []string{"Bearer gd_one"}, got.take())
	})
}

// A token that is replaced in its file is used from then on.
func TestWithTokenFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, srv := newNetwork(t), newServer(t, memstore.New())
		var got proofs
		n.put(t, "cfg-1:1210", got.before(httptransport.NewHandler(srv)))
		publish(t, srv, "1")
		path := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(path, []byte("gd_one\n"), 0o600))
		client, err := dial.Servers("cfg-1", n.option(), silent, dial.WithTokenFile(path))
		require.NoError(t, err)
		_, changed := bind(t, client)
		assert.Equal(t, []string{"Bearer gd_one"}, got.take())
		require.NoError(t, os.WriteFile(path, []byte("gd_other\n"), 0o600))
		time.Sleep(2 * time.Minute)
		got.take()
		publish(t, srv, "2")
		await(t, changed, "2")
		require.NoError(t, client.Close())
		assert.Equal(t, []string{"Bearer gd_other"}, got.take())
	})
}

// A name server never gets the token.
func TestWithToken_NameServers(t *testing.T) {
	var got proofs
	names := httptest.NewServer(got.before(http.NotFoundHandler()))
	defer names.Close()
	client, err := dial.NameServers(names.URL, silent, dial.WithToken("gd_one"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = client.Get(ctx, limits)
	require.Error(t, err)
	require.NoError(t, client.Close())
	assert.Equal(t, []string{""}, got.take())
}

// A token that cannot be one is refused at once, and does not stand in the error.
func TestWithToken_Invalid(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(empty, []byte("secret words\n"), 0o600))
	for name, opt := range map[string]dial.Option{
		"token":        dial.WithToken("secret words"),
		"file":         dial.WithTokenFile(empty),
		"missing file": dial.WithTokenFile(empty + ".none"),
	} {
		client, err := dial.Servers("cfg-1", silent, opt)
		assert.Nil(t, client, name)
		assert.ErrorIs(t, err, conf.ErrInvalid, name)
		assert.ErrorContains(t, err, "token", name)
		assert.NotContains(t, err.Error(), "secret", name)
	}
}
