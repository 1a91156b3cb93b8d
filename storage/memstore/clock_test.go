package memstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// S24: a clock that jumps ahead a year removes no more than the counts let go;
// one that is set back removes nothing; neither changes the order.
func TestS24_Clock(t *testing.T) {
	now := time.Now()
	s := New(WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}), func(s *Store) {
		s.now = func() time.Time { return now }
	})
	revision := int64(0)
	publish := func(n int, step time.Duration) int {
		for i := range n {
			now = now.Add(step)
			r, err := s.Commit(t.Context(), []conf.ChangeSet{{
				Drafts:    []conf.Draft{{Key: conf.NewKey("", "a"), Content: fmt.Sprint(i)}},
				RequestID: fmt.Sprint("r", revision),
			}})
			require.NoError(t, err)
			revision++
			require.Equal(t, revision, r[0].Position.Revision)
		}
		changes, err := s.History(t.Context(), conf.NewKey("", "a"), 0, 1000)
		require.NoError(t, err)
		return len(changes)
	}
	require.Equal(t, 30, publish(30, time.Minute))
	now = now.AddDate(1, 0, 0)
	require.Equal(t, 10, publish(1, 0), "the log keeps 10 changes")
	now = now.AddDate(-1, 0, 0)
	require.Equal(t, 40, publish(30, -time.Minute))
	now = now.AddDate(0, 0, 3)
	require.Equal(t, 10, publish(1, 0))
	require.Len(t, s.requests.known, int(revision), "request ids have a count of their own")
}

// S24: a clock far behind makes all of the log be from the future. Each commit
// looks at a part of it only, and what has become old goes all the same.
func TestS24_ClockFarBehind(t *testing.T) {
	now := time.Now()
	s := New(WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}), func(s *Store) {
		s.now = func() time.Time { return now }
	})
	commit := func() {
		_, err := s.Commit(t.Context(), []conf.ChangeSet{{Drafts: []conf.Draft{{Key: conf.NewKey("", "a"), Content: "x"}}}})
		require.NoError(t, err)
	}
	const n = 4 * pruneLook
	for range n {
		commit()
	}
	now = now.AddDate(-50, 0, 0)
	for i := range 3 {
		commit()
		require.Equal(t, (i+1)*pruneLook, s.passed)
	}
	now = now.AddDate(50, 0, 2)
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, 10, s.changes)
	require.Len(t, s.log, 10)
	now = now.AddDate(-50, 0, 0)
	require.NoError(t, s.Prune(t.Context()), "it ends")
}

// Request ids stay for 24 hours, and then go.
func TestRequestIDsExpire(t *testing.T) {
	now := time.Now()
	s := New(func(s *Store) { s.now = func() time.Time { return now } })
	commit := func(i int) conf.Result {
		r, err := s.Commit(t.Context(), []conf.ChangeSet{{
			Drafts:    []conf.Draft{{Key: conf.NewKey("", "a"), Content: fmt.Sprint(i)}},
			RequestID: fmt.Sprint("r", i),
		}})
		require.NoError(t, err)
		return r[0]
	}
	for i := range storage.RequestIDFloor + 10 {
		commit(i)
	}
	now = now.Add(storage.RequestIDAge)
	require.NoError(t, s.Prune(t.Context()))
	require.True(t, commit(0).Replayed)
	now = now.Add(time.Second)
	require.NoError(t, s.Prune(t.Context()))
	require.False(t, commit(0).Replayed)
	require.True(t, commit(20).Replayed, "the newest stay whatever the clock says")
}
