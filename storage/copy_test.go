package storage_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func openBolt(t *testing.T, dir string, opts ...boltstore.Option) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func commit(t *testing.T, s diamond.Storage, set conf.ChangeSet) {
	t.Helper()
	results, err := s.Commit(t.Context(), []conf.ChangeSet{*set.Canonical()})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
}

// fill publishes 30 values of 4 keys, deletes a key, and forks once.
func fill(t *testing.T, s diamond.Storage) {
	for i := range 30 {
		commit(t, s, conf.ChangeSet{Drafts: []conf.Draft{
			{Key: conf.NewKey("g", "key-"+strconv.Itoa(i%4)), Content: "value " + strconv.Itoa(i)},
		}})
		if i == 20 {
			_, err := s.Fork(t.Context(), conf.Position{})
			require.NoError(t, err)
		}
	}
	commit(t, s, conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("g", "key-1")}}})
}

func log(t *testing.T, s diamond.Storage, after conf.Position) conf.Batch {
	t.Helper()
	batch, err := s.Changes(t.Context(), after, 1<<30)
	require.NoError(t, err)
	return batch
}

func view(t *testing.T, s diamond.Storage) []conf.Entry {
	t.Helper()
	page, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 1000, Contents: true})
	require.NoError(t, err)
	require.False(t, page.More)
	return page.Entries
}

// A copy has all of the history, under the same store id, and goes on from there.
func TestCopy_Whole(t *testing.T) {
	from, to := openBolt(t, t.TempDir()), openBolt(t, t.TempDir())
	fill(t, from)
	at, err := storage.Copy(t.Context(), from, to)
	require.NoError(t, err)
	assert.Equal(t, log(t, from, conf.Position{}), log(t, to, conf.Position{}))
	assert.Equal(t, view(t, from), view(t, to))
	assert.Equal(t, log(t, from, conf.Position{}).Head, at)

	again, err := storage.Copy(t.Context(), from, to)
	require.NoError(t, err)
	assert.Equal(t, at, again, "there is nothing to be done")

	commit(t, to, conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("g", "new"), Content: "x"}}})
	_, err = storage.Copy(t.Context(), from, to)
	require.ErrorIs(t, err, conf.ErrEpoch, "the copy has gone on by itself")
}

// Of a history that was pruned, all that the log still has is copied.
func TestCopy_PrunedHistory(t *testing.T) {
	from := openBolt(t, t.TempDir(), boltstore.WithRetention(storage.Retention{Age: time.Nanosecond, Versions: 2, Changes: 5}))
	to := memstore.New()
	defer to.Close()
	fill(t, from)
	require.NoError(t, from.Prune(t.Context()))
	horizon, err := from.Horizon(t.Context())
	require.NoError(t, err)
	require.Positive(t, horizon.Revision)

	_, err = storage.Copy(t.Context(), from, to)
	require.NoError(t, err)
	assert.Equal(t, log(t, from, horizon), log(t, to, horizon))
	assert.Equal(t, view(t, from), view(t, to))
	_, err = to.Changes(t.Context(), conf.Position{}, 1)
	assert.ErrorIs(t, err, conf.ErrCompacted)
}

// A copy that was cut short goes on where it ended.
func TestCopy_GoesOn(t *testing.T) {
	from, to := openBolt(t, t.TempDir()), openBolt(t, t.TempDir())
	fill(t, from)
	batch, err := from.Changes(t.Context(), conf.Position{}, 1)
	require.NoError(t, err)
	require.NoError(t, to.Apply(t.Context(), batch.Changes, batch.Position))
	_, err = storage.Copy(t.Context(), from, to)
	require.NoError(t, err)
	assert.Equal(t, log(t, from, conf.Position{}), log(t, to, conf.Position{}))
}

func TestCopy_Errors(t *testing.T) {
	from, other := openBolt(t, t.TempDir()), openBolt(t, t.TempDir())
	fill(t, from)
	copied := openBolt(t, t.TempDir())
	_, err := storage.Copy(t.Context(), from, copied)
	require.NoError(t, err)
	fill(t, other)
	_, err = storage.Copy(t.Context(), other, copied)
	assert.ErrorIs(t, err, conf.ErrOtherStore)
	own := openBolt(t, t.TempDir())
	fill(t, own)
	_, err = storage.Copy(t.Context(), from, own)
	assert.Error(t, err)
}
