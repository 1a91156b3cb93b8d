package boltstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// tinyRetention makes everything old at once, so that only the counts hold.
func tinyRetention() storage.Retention {
	return storage.Retention{Age: time.Nanosecond, Versions: 3, Changes: 10}
}

// clock is a clock that tests move.
func clock(now *time.Time) Option {
	return func(s *Store) { s.now = func() time.Time { return *now } }
}

func revisions(changes []conf.Change) (r []int64) {
	for _, c := range changes {
		r = append(r, c.Revision)
	}
	return r
}

// S24: a clock that jumps ahead a year removes no more than the counts let go,
// and nothing of what is younger once it is right again.
func TestS24_ClockAhead(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	s := open(t, dir, clock(&now), WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}))
	set := put("live", "x")
	set.RequestID = "r1"
	commit(t, s, set)
	for i := range 30 {
		now = now.Add(time.Minute)
		commit(t, s, put("a", fmt.Sprint(i)))
	}
	prune := func() []int64 {
		require.NoError(t, s.Prune(t.Context()))
		changes, err := s.History(t.Context(), key("a"), 0, 100)
		require.NoError(t, err)
		return revisions(changes)
	}
	require.Len(t, prune(), 30, "all is younger than a day")

	right := now
	now = now.AddDate(1, 0, 0)
	require.Equal(t, []int64{31, 30, 29, 28, 27, 26, 25, 24, 23, 22}, prune(), "the log keeps 10 changes")
	e, err := s.Read(t.Context(), key("live"), 0)
	require.NoError(t, err)
	require.Equal(t, "x", e.Content)
	r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.True(t, r[0].Replayed, "request ids have a count of their own")

	// Published a year ahead, then the clock is set right.
	for i := range 5 {
		commit(t, s, put("a", fmt.Sprint("ahead", i)))
	}
	now = right
	for i := range 30 {
		now = now.Add(time.Minute)
		commit(t, s, put("a", fmt.Sprint("again", i)))
	}
	require.Len(t, prune(), 45, "what is younger than a day stays, and what follows it")
	now = now.Add(48 * time.Hour)
	require.Len(t, prune(), 10, "and goes when its time has come, with what was published ahead")
	require.NoError(t, s.Close())
	sound(t, dir)
}

// S24: a clock set back neither reorders nor removes anything.
func TestS24_ClockBack(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	s := open(t, dir, clock(&now), WithRetention(tinyRetention()))
	for i := range 100 {
		now = now.Add(-time.Hour)
		require.EqualValues(t, i+1, commit(t, s, put("a", fmt.Sprint(i))).Revision)
	}
	require.NoError(t, s.Prune(t.Context()))
	changes, err := s.History(t.Context(), key("a"), 0, 1000)
	require.NoError(t, err)
	require.Len(t, changes, 100, "all is from the future, and nothing proves that it is old")
	require.NoError(t, s.Close())
	sound(t, dir)
}

// S24: changes stamped too early do not take younger ones before them along.
func TestS24_ClockBackForAWhile(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), clock(&now), WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}))
	for _, step := range []time.Duration{0, -72 * time.Hour, 72 * time.Hour} {
		now = now.Add(step)
		for i := range 20 {
			commit(t, s, put("a", fmt.Sprint(i)))
		}
	}
	require.NoError(t, s.Prune(t.Context()))
	changes, err := s.History(t.Context(), key("a"), 0, 1000)
	require.NoError(t, err)
	require.Len(t, changes, 60)
}

// S24: a clock far behind makes all of the log be from the future. A pruning then
// looks at all of it, and no publish waits for that.
func TestS24_ClockFarBehindHoldsNoLock(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), clock(&now), WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}))
	const n = storage.RequestIDFloor + 2*pruneLook
	for i := 0; i < n; i += 1000 {
		var sets []conf.ChangeSet
		for j := range 1000 {
			set := put("a", fmt.Sprint(i+j))
			set.RequestID = fmt.Sprint("r", i+j)
			sets = append(sets, set)
		}
		_, err := s.Commit(t.Context(), sets)
		require.NoError(t, err)
	}
	kept := func() int {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // where it waits to write
		defer cancel()
		require.NoError(t, s.Prune(ctx))
		changes, err := s.History(t.Context(), key("a"), 0, 2*n)
		require.NoError(t, err)
		return len(changes)
	}
	now = now.AddDate(-50, 0, 0)
	s.writer <- struct{}{} // nobody writes
	require.Equal(t, n, kept())
	<-s.writer
	now = now.AddDate(50, 0, 0)
	s.writer <- struct{}{}
	require.Equal(t, n, kept(), "nor where nothing is to be removed")
	<-s.writer
	now = now.AddDate(0, 0, 2)
	require.Equal(t, 10, kept())
}

// S24: what was published ahead, and is more than one look, goes with what
// follows it.
func TestS24_ManyAhead(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), clock(&now), WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}))
	publish := func(n int) {
		var sets []conf.ChangeSet
		for i := range n {
			sets = append(sets, put("a", fmt.Sprint(i)))
		}
		_, err := s.Commit(t.Context(), sets)
		require.NoError(t, err)
	}
	now = now.AddDate(1, 0, 0)
	publish(2*pruneLook + 100)
	now = now.AddDate(-1, 0, 0)
	publish(30)
	now = now.AddDate(0, 0, 2)
	require.NoError(t, s.Prune(t.Context()))
	changes, err := s.History(t.Context(), key("a"), 0, 10*pruneLook)
	require.NoError(t, err)
	require.Len(t, changes, 10)
}

// Request ids stay for 24 hours, and then go.
func TestRequestIDsExpire(t *testing.T) {
	now := time.Now().Truncate(time.Microsecond) // as it is stored
	s := open(t, t.TempDir(), clock(&now))
	var sets []conf.ChangeSet
	for i := range storage.RequestIDFloor + 300 {
		set := put("a", fmt.Sprint(i))
		set.RequestID = fmt.Sprint("r", i)
		sets = append(sets, set)
	}
	replayed := func(i int) bool {
		var seen bool
		require.NoError(t, s.read(t.Context(), func(v *view) error {
			r, err := v.replay(newRequest(&sets[i]))
			seen = r != nil
			return err
		}))
		return seen
	}
	for i := 0; i < len(sets); i += 1000 {
		_, err := s.Commit(t.Context(), sets[i:min(i+1000, len(sets))])
		require.NoError(t, err)
	}
	now = now.Add(storage.RequestIDAge)
	require.NoError(t, s.Prune(t.Context()))
	require.True(t, replayed(0))
	now = now.Add(time.Second)
	require.NoError(t, s.Prune(t.Context()))
	require.False(t, replayed(0))
	require.False(t, replayed(299))
	require.True(t, replayed(300), "the newest stay whatever the clock says")
}
