package engine_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// localCopy is a replica that fails, or waits, as a test tells it to.
type localCopy struct {
	*troubled
	replica diamond.Replica
}

func copyOn(local diamond.ReplicaStorage) *localCopy {
	return &localCopy{troubledBy(local), local}
}

func (c *localCopy) At(ctx context.Context) (conf.Position, error) {
	if err := c.enter("at"); err != nil {
		return conf.Position{}, err
	}
	return c.replica.At(ctx)
}

func (c *localCopy) Apply(ctx context.Context, changes []conf.Change, to conf.Position) error {
	if len(changes) > 0 { // else it is the question whether it is a copy
		if err := c.enter("apply"); err != nil {
			return err
		}
	}
	return c.replica.Apply(ctx, changes, to)
}

func (c *localCopy) Install(ctx context.Context, at conf.Position, entries iter.Seq2[conf.Entry, error]) error {
	if err := c.enter("install"); err != nil {
		return err
	}
	return c.replica.Install(ctx, at, entries)
}

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// count returns how many records have text.
func (l *logged) count(text string) int {
	n := 0
	for _, line := range bytes.Split([]byte(l.String()), []byte("\n")) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

func (l *logged) option() diamond.Option {
	return diamond.WithLogger(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// node returns a server on a shared storage with a copy of its own. Who made
// the storage and the copy closes them.
func node(t testing.TB, shared diamond.Storage, local diamond.ReplicaStorage, opts ...diamond.ServerOption) *servertest.Served {
	t.Helper()
	srv, err := diamond.NewServer(shared, append(opts, diamond.WithReplica(local))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return &servertest.Served{Server: srv, T: t}
}

// contentsOf returns all entries of a storage, with contents, and its position.
func contentsOf(t testing.TB, s diamond.Storage) (map[string]conf.Entry, conf.Position) {
	t.Helper()
	entries := make(map[string]conf.Entry)
	req := conf.ScanRequest{Limit: 1000, Contents: true}
	for {
		page, err := s.Scan(context.Background(), req)
		require.NoError(t, err)
		for _, e := range page.Entries {
			entries[e.Key.String()] = e
			req.After = e.Key
		}
		if !page.More {
			return entries, page.Position
		}
	}
}

// sameContents requires that a copy is what the storage is.
func sameContents(t testing.TB, storage, local diamond.Storage) {
	t.Helper()
	want, at := contentsOf(t, storage)
	got, reached := contentsOf(t, local)
	require.Equal(t, at, reached)
	require.Equal(t, want, got)
}

// asOf returns what the changes of a storage up to a revision lead to.
func asOf(t testing.TB, s diamond.Storage, revision int64) map[string]conf.Entry {
	t.Helper()
	batch, err := s.Changes(context.Background(), conf.Position{}, 1<<40)
	require.NoError(t, err)
	entries := make(map[string]conf.Entry)
	for i := range batch.Changes {
		switch c := &batch.Changes[i]; {
		case c.Revision > revision:
			return entries
		case c.Op == conf.OpDelete:
			delete(entries, c.Key.String())
		case c.Op == conf.OpPublish:
			entries[c.Key.String()] = c.Entry()
		}
	}
	return entries
}

// copied returns a copy that is up to date with a storage.
func copied(t testing.TB, s diamond.Storage) *memstore.Store {
	t.Helper()
	batch, err := s.Changes(context.Background(), conf.Position{}, 1<<40)
	require.NoError(t, err)
	require.Equal(t, batch.Head, batch.Position)
	local := memstore.New()
	require.NoError(t, local.Apply(context.Background(), batch.Changes, batch.Head))
	return local
}
