package server

import (
	"context"
	"errors"
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
	"github.com/linnaname/gdiamond/storage/memstore"
)

// The page has one line for each thing, also where reads and writes both fail.
func TestHealth_OneLineEach(t *testing.T) {
	read := conf.Errorf(conf.ErrUnavailable, "cannot be read")
	write := conf.Errorf(conf.ErrUnavailable, "cannot\nbe written")
	for _, state := range []error{errors.Join(read, write), read, nil} {
		text := storageText(&conf.ServerStatus{Storage: state, WriteErr: write})
		assert.NotContains(t, text, "\n")
		assert.Equal(t, 1, strings.Count(text, "cannot; be written"), text)
		if state != nil {
			assert.Contains(t, text, "cannot be read")
		}
	}
	same := conf.Errorf(conf.ErrUnavailable, "cannot\nbe written")
	for _, state := range []error{errors.Join(same, write), same, write} {
		text := storageText(&conf.ServerStatus{Storage: state, WriteErr: write, Stale: time.Minute})
		assert.Equal(t, 1, strings.Count(text, "cannot; be written"), "said once: %s", text)
	}
}

// lineOf returns what the page of a node that is ready says of one thing.
func lineOf(t *testing.T, node *Node, thing string) string {
	t.Helper()
	w := httptest.NewRecorder()
	node.readyz(w, httptest.NewRequest(http.MethodGet, "/readyz?verbose", nil))
	assert.Equal(t, http.StatusOK, w.Code, "it is ready to read all the while")
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "] "+thing+": ") {
			return strings.TrimSpace(line)
		}
	}
	return "no line"
}

// unwritable is a storage that takes no commit while failing is set.
type unwritable struct {
	diamond.Storage
	failing atomic.Bool
}

func (s *unwritable) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if s.failing.Load() {
		return nil, conf.Errorf(conf.ErrUnavailable, "down")
	}
	return s.Storage.Commit(ctx, sets)
}

// The page tells of a publish that failed as what is wrong now for a while, then
// as what was last seen, with its age, until one succeeds.
func TestHealth_FailedPublishAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &unwritable{Storage: memstore.New()}
		srv, err := diamond.NewServer(storage)
		require.NoError(t, err)
		defer func() {
			assert.NoError(t, srv.Close())
			assert.NoError(t, storage.Close())
		}()
		node := NewNode(srv)
		line := func() string { return lineOf(t, node, "storage") }
		publish := func() error {
			_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{
				Drafts: []conf.Draft{{Key: conf.NewKey("", "linna"), Content: "x"}},
			}})
			return err
		}
		assert.Equal(t, "[+] storage: ok", line())
		storage.failing.Store(true)
		require.ErrorIs(t, publish(), conf.ErrUnavailable)
		time.Sleep(12 * time.Second)
		assert.Equal(t, "[-] storage: diamond: unavailable: down (reads go on); the last publish failed 12s ago", line())
		time.Sleep(12*time.Minute - 12*time.Second)
		assert.Equal(t, "[+] storage: ok; the last publish failed 12m0s ago: diamond: unavailable: down", line())
		storage.failing.Store(false)
		require.NoError(t, publish())
		assert.Equal(t, "[+] storage: ok", line())
	})
}

// unscannable is a storage that cannot be scanned while failing is set.
type unscannable struct {
	diamond.Storage
	failing atomic.Bool
}

func (s *unscannable) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	if s.failing.Load() {
		return conf.Page{}, conf.Errorf(conf.ErrCorrupt, "a row\nis damaged")
	}
	return s.Storage.Scan(ctx, req)
}

// The page says why the last self-check was not completed, for as long as that is
// so. It does not count: what is served was read before.
func TestHealth_CheckNotCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &unscannable{Storage: memstore.New()}
		srv, err := diamond.NewServer(storage, diamond.WithSelfCheck(time.Second))
		require.NoError(t, err)
		defer func() {
			assert.NoError(t, srv.Close())
			assert.NoError(t, storage.Close())
		}()
		node := NewNode(srv)
		line := func() string { return lineOf(t, node, "self-check") }
		time.Sleep(10 * time.Second)
		assert.True(t, strings.HasPrefix(line(), "[+] "), line())
		storage.failing.Store(true)
		time.Sleep(10 * time.Second)
		assert.True(t, strings.HasPrefix(line(), "[-] "), line())
		assert.Contains(t, line(), "the last one was not completed: ")
		assert.Contains(t, line(), "a row; is damaged")
		storage.failing.Store(false)
		time.Sleep(10 * time.Second)
		assert.True(t, strings.HasPrefix(line(), "[+] "), line())
	})
}
