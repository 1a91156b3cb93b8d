package servertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Documents is a server on an empty store that lets everybody read and write entries in
// the namespaces of the system, for tests of what is written there. Other requests go to
// an ordinary server on the same store.
type Documents struct {
	diamond.Server
	Store *memstore.Store

	mu      sync.Mutex
	commits []conf.ChangeSet
	before  func(set conf.ChangeSet) error
}

// NewDocuments returns a server that the end of the test closes.
func NewDocuments(t testing.TB) *Documents {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store, diamond.WithUngoverned())
	require.NoError(t, err)
	t.Cleanup(func() { _ = srv.Close() })
	return &Documents{Server: srv, Store: store}
}

// BeforeCommit has f called with each set before it is committed. An error of f is the
// answer instead.
func (d *Documents) BeforeCommit(f func(set conf.ChangeSet) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = f
}

// Commits returns the sets that were asked for.
func (d *Documents) Commits() []conf.ChangeSet {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.commits)
}

// Write writes a document without any condition.
func (d *Documents) Write(t testing.TB, key conf.Key, content string) int64 {
	t.Helper()
	results, err := d.Store.Commit(t.Context(), []conf.ChangeSet{{Drafts: []conf.Draft{{Key: key, Content: content}}}})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	return results[0].Position.Revision
}

// Content returns the content of a document, or "" if there is none.
func (d *Documents) Content(t testing.TB, key conf.Key) string {
	t.Helper()
	entry, err := d.Store.Read(t.Context(), key, 0)
	if errors.Is(err, conf.ErrNotFound) {
		return ""
	}
	require.NoError(t, err)
	return entry.Content
}

// Fetch implements [diamond.Server].
func (d *Documents) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	if !req.Key.System() {
		return d.Server.Fetch(ctx, req)
	}
	page, err := d.Store.Scan(ctx, conf.ScanRequest{Limit: 1})
	if err != nil {
		return nil, err
	}
	res := &conf.FetchResponse{Position: page.Position}
	entry, err := d.Store.Read(ctx, req.Key, req.Revision)
	if errors.Is(err, conf.ErrNotFound) && req.Revision == 0 {
		return res, nil
	}
	res.Entry, res.Found = entry, err == nil
	return res, err
}

// List implements [diamond.Server]. Its pages have any size.
func (d *Documents) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	if !strings.HasPrefix(req.Namespace, "_") {
		return d.Server.List(ctx, req)
	}
	page, err := d.Store.Scan(ctx, conf.ScanRequest{
		Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix, After: req.After, Contents: req.Contents, Limit: conf.MaxPage,
	})
	if err != nil {
		return nil, err
	}
	return &conf.ListResponse{Entries: page.Entries, More: page.More, Position: page.Position}, nil
}

// Commit implements [diamond.Server].
func (d *Documents) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	if req.Set.RefuseSystem() == nil {
		return d.Server.Commit(ctx, req)
	}
	d.mu.Lock()
	d.commits = append(d.commits, req.Set)
	before := d.before
	d.mu.Unlock()
	if before != nil {
		if err := before(req.Set); err != nil {
			return nil, err
		}
	}
	results, err := d.Store.Commit(ctx, []conf.ChangeSet{*req.Set.Canonical()})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		var e *conf.Error
		errors.As(err, &e)
		return nil, conf.WithOp("commit", e.Key, err)
	}
	return &conf.CommitResponse{Position: results[0].Position}, nil
}
