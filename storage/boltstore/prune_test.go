package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// History that cannot be pruned makes the file grow without end, so it is said:
// once when that begins, and once when it is over.
func TestPrune_FailureIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := open(t, t.TempDir(), WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
			WithRetention(storage.Retention{Age: time.Nanosecond, Versions: 1, Changes: 1}))
		var broken atomic.Bool
		s.writer <- struct{}{}
		s.beforeEnd = func() error {
			if broken.Load() {
				return errors.New("broken disk")
			}
			return nil
		}
		<-s.writer
		// pruned returns what is said of the next pruning; commits go well before it.
		pruned := func(fails bool) string {
			log.Reset()
			for i := range 5 {
				commit(t, s, put("a", fmt.Sprint(i)))
			}
			broken.Store(fails)
			defer broken.Store(false)
			time.Sleep(pruneEvery)
			synctest.Wait()
			return log.String()
		}
		assert.Empty(t, pruned(false))
		said := pruned(true)
		assert.Equal(t, 1, strings.Count(said, "history cannot be pruned"), said)
		assert.Contains(t, said, "broken disk")
		assert.Contains(t, said, "level=WARN")
		assert.Empty(t, pruned(true), "it was said")
		said = pruned(false)
		assert.Equal(t, 1, strings.Count(said, "history can be pruned again"), said)
		assert.NotContains(t, said, "cannot")
		assert.Contains(t, pruned(true), "history cannot be pruned", "it is said anew")
		log.Reset()
		require.NoError(t, s.Close())
		assert.Empty(t, log.String(), "to be closed is no failure")
	})
}

// A transaction of a pruning removes a few changes only, whole sets of them, and
// none beyond the revision up to which it was found that they may go. It removes
// none of another log.
func TestPrune_TransactionsAreBounded(t *testing.T) {
	s := open(t, t.TempDir(), WithRetention(tinyRetention()))
	var sets []conf.ChangeSet
	for i := range 3*pruneBatch + 10 {
		sets = append(sets, put("a", fmt.Sprint(i)))
	}
	_, err := s.Commit(t.Context(), sets)
	require.NoError(t, err)
	var generation, horizon int64
	step := func(upTo int64) (more bool) {
		require.NoError(t, s.write(t.Context(), func(v *view) (err error) {
			more, err = v.pruneLog(s.retention, look{v.generation + generation, upTo})
			horizon = v.horizon
			return err
		}))
		return more
	}
	require.False(t, step(5))
	require.EqualValues(t, 5, horizon)
	generation = 1
	require.False(t, step(3*pruneBatch))
	require.EqualValues(t, 5, horizon)
	generation = 0
	require.True(t, step(3*pruneBatch))
	require.EqualValues(t, 5+pruneBatch, horizon)
	require.True(t, step(3*pruneBatch))
	require.False(t, step(3*pruneBatch))
	require.EqualValues(t, 3*pruneBatch, horizon)
	changes, err := s.History(t.Context(), key("a"), 0, 4*pruneBatch)
	require.NoError(t, err)
	require.Len(t, changes, 10)
}

// A set of more changes than one transaction of a pruning removes leaves the log whole.
func TestPrune_ALargeSetLeavesWhole(t *testing.T) {
	s := open(t, t.TempDir(), WithRetention(tinyRetention()))
	var large conf.ChangeSet
	for i := range pruneBatch + 50 {
		large.Drafts = append(large.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: "x"})
	}
	commit(t, s, large)
	for range 10 {
		commit(t, s, put("a", "x"))
	}
	var horizon int64
	require.NoError(t, s.write(t.Context(), func(v *view) error {
		_, err := v.pruneLog(s.retention, look{v.generation, 1})
		horizon = v.horizon
		return err
	}))
	require.EqualValues(t, 1, horizon)
}

// A request id that has not expired stays, whatever was found before: the store may
// have been installed anew.
func TestPrune_RequestsAreLookedAtAgain(t *testing.T) {
	s := open(t, t.TempDir())
	set := put("a", "x")
	set.RequestID = "r"
	commit(t, s, set)
	row := newRequest(&set).key
	require.NoError(t, s.write(t.Context(), func(v *view) error { return v.forget([][]byte{row}, s.now()) }))
	require.NoError(t, s.read(t.Context(), func(v *view) error {
		require.NotNil(t, v.requests.Get(row))
		return nil
	}))
}

// What a bound of bytes lets go is found in several short looks, for which no
// publish waits.
func TestPrune_BytesAreAddedUpWithoutALock(t *testing.T) {
	s := open(t, t.TempDir(), WithRetention(storage.Retention{Versions: 1, Bytes: 4*pruneLook + 10}))
	var sets []conf.ChangeSet
	for i := range 5 * pruneLook {
		sets = append(sets, put("a", fmt.Sprint(i%10)))
	}
	for some := range slices.Chunk(sets, pruneLook) {
		_, err := s.Commit(t.Context(), some)
		require.NoError(t, err)
	}
	s.writer <- struct{}{} // nobody writes
	l, err := s.look(t.Context())
	<-s.writer
	require.NoError(t, err)
	require.EqualValues(t, pruneLook-10, l.upTo)
	require.NoError(t, s.Prune(t.Context()))
	changes, err := s.History(t.Context(), key("a"), 0, 5*pruneLook)
	require.NoError(t, err)
	require.Len(t, changes, 4*pruneLook+10)
}
