package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// away is a storage that cannot be reached from some moment on.
type away struct {
	diamond.Storage
	gone atomic.Bool
}

func (s *away) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (diamond.Batch, error) {
	if s.gone.Load() {
		return diamond.Batch{}, diamond.Errorf(diamond.ErrUnavailable, "gone")
	}
	return s.Storage.Changes(ctx, after, maxBytes)
}

// A value of a server that has lost its storage may be an old one, and is shown as such.
func TestGet_SaysThatAValueMayBeOld(t *testing.T) {
	store := &away{Storage: memstore.New()}
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	defer srv.Close()
	_, err = srv.Commit(t.Context(), &diamond.CommitRequest{Set: diamond.ChangeSet{
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
}
