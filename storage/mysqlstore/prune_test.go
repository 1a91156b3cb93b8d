package mysqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage"
)

// clock is a clock that tests move.
func clock(now *time.Time) Option {
	return func(s *Store) { s.now = func() time.Time { return *now } }
}

// kept prunes, and returns how many versions of a key are left.
func kept(t *testing.T, s *Store, id string) int {
	t.Helper()
	require.NoError(t, s.Prune(t.Context()))
	changes, err := s.History(t.Context(), key(id), 0, 100_000)
	require.NoError(t, err)
	return len(changes)
}

// S24: a clock that jumps ahead a year removes no more than the counts let go,
// and nothing of what is younger once it is right again; one that is set back
// removes nothing, and changes no order.
func TestS24_Clock(t *testing.T) {
	now := time.Now()
	s := open(t, mariadbtest.Database(t), clock(&now), WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}))
	revision := int64(0)
	publish := func(n int, step time.Duration) {
		var sets []conf.ChangeSet
		for range n {
			now = now.Add(step)
			sets = append(sets, withID(put("a", fmt.Sprint(revision)), fmt.Sprint("r", revision)))
			revision++
			if step != 0 || len(sets) == n {
				r, err := s.Commit(t.Context(), sets)
				require.NoError(t, err)
				require.Equal(t, revision, r[len(r)-1].Position.Revision)
				sets = nil
			}
		}
	}
	publish(30, time.Minute)
	require.Equal(t, 30, kept(t, s, "a"))
	right := now
	now = now.AddDate(1, 0, 0)
	require.Equal(t, 10, kept(t, s, "a"), "the log keeps 10 changes")
	r, err := s.Commit(t.Context(), []conf.ChangeSet{withID(put("a", "0"), "r0")})
	require.NoError(t, err)
	require.True(t, r[0].Replayed, "request ids have a count of their own")

	publish(pruneLook+100, 0) // a year ahead, and more than one look
	now = right
	publish(30, time.Minute)
	require.Equal(t, 10+pruneLook+100+30, kept(t, s, "a"), "what is younger than a day stays, and what follows it")
	now = now.Add(48 * time.Hour)
	require.Equal(t, 10, kept(t, s, "a"), "and goes when its time has come, with what was published ahead")

	now = right.Add(-1000 * time.Hour)
	publish(100, -time.Hour)
	require.Equal(t, 110, kept(t, s, "a"), "nothing proves that it is old")
	require.Len(t, s.requests(t), int(revision))
}

// requests returns the request ids that s knows.
func (s *Store) requests(t *testing.T) (revisions []int64) {
	rows, err := s.db.QueryContext(t.Context(), "SELECT revision FROM diamond_request ORDER BY revision")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var r int64
		require.NoError(t, rows.Scan(&r))
		revisions = append(revisions, r)
	}
	require.NoError(t, rows.Err())
	return revisions
}

// Request ids stay for 24 hours, and then go.
func TestRequestIDsExpire(t *testing.T) {
	now := time.Now().Truncate(time.Microsecond) // as it is stored
	s := open(t, mariadbtest.Database(t), clock(&now))
	publishMany(t, s, storage.RequestIDFloor+300)
	now = now.Add(storage.RequestIDAge)
	require.NoError(t, s.Prune(t.Context()))
	require.Len(t, s.requests(t), storage.RequestIDFloor+300)
	now = now.Add(time.Second)
	require.NoError(t, s.Prune(t.Context()))
	left := s.requests(t)
	require.Len(t, left, storage.RequestIDFloor, "the newest stay whatever the clock says")
	require.EqualValues(t, 301, left[0])
}

// Several stores prune while others write and read: what is kept is whole.
func TestPruneUnderLoad(t *testing.T) {
	dsn := patient(t, mariadbtest.Database(t))
	little := WithRetention(storage.Retention{Age: time.Nanosecond, Versions: 2, Changes: 50})
	stores := []*Store{open(t, dsn, little), open(t, dsn, little), open(t, dsn, little)}
	n := campaign.Scale(t, 150, 2000)
	done := make(chan struct{})
	var writers, others sync.WaitGroup
	errs := make([]error, 2*len(stores))
	for i, s := range stores {
		writers.Go(func() {
			for j := range n {
				set := put(fmt.Sprint("k", j%7), fmt.Sprint(i, "-", j))
				if j%5 == 4 {
					set = conf.ChangeSet{Deletes: []conf.Delete{{Key: key(fmt.Sprint("k", j%7))}}}
				}
				r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
				if err == nil && !errors.Is(r[0].Err, conf.ErrNotFound) {
					err = r[0].Err
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
		others.Go(func() {
			var at conf.Position
			for {
				select {
				case <-done:
					return
				default:
				}
				err := s.Prune(t.Context())
				if err == nil {
					var b conf.Batch
					if b, err = s.Changes(t.Context(), at, 1<<20); errors.Is(err, conf.ErrCompacted) {
						at, err = b.Head, nil
					} else if err == nil {
						var next conf.Position
						if next, err = at.Follow(b.Changes); err == nil && len(b.Changes) > 0 && next.Chain != b.Position.Chain {
							err = errors.New("the chain is another one")
						}
						at = b.Position
					}
				}
				if err != nil {
					errs[len(stores)+i] = err
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	others.Wait()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, stores[0].Prune(t.Context()))
	page, err := stores[0].Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.NoError(t, err)
	for _, e := range page.Entries {
		read, err := stores[1].Read(t.Context(), e.Key, e.Revision)
		require.NoError(t, err)
		require.Equal(t, e, read)
	}
}

// A pruning looks at a few of the request ids that stay, and not at all of them.
func TestPruneLooksAtFewRequests(t *testing.T) {
	now := time.Now()
	server := mariadbtest.Start(t, mariadbtest.Options{})
	s := open(t, server.Database(t), clock(&now))
	publishMany(t, s, storage.RequestIDFloor+5000)
	admin := raw(t, server.DSN())
	before := rowsRead(t, admin)
	require.NoError(t, s.Prune(t.Context()))
	require.Less(t, rowsRead(t, admin)-before, 2000)
	require.Len(t, s.requests(t), storage.RequestIDFloor+5000)
}

// S24: a clock far behind makes all of the log, and all request ids, be from the
// future. A pruning then looks at all of them, and no publish waits for that.
func TestS24_ClockFarBehindHoldsNoLock(t *testing.T) {
	now := time.Now()
	s := open(t, mariadbtest.Database(t), clock(&now), WithRetention(storage.Retention{Age: 24 * time.Hour, Versions: 3, Changes: 10}))
	publishMany(t, s, storage.RequestIDFloor+2*pruneLook)
	now = now.AddDate(-50, 0, 0)
	s.writing <- struct{}{} // no transaction begins
	err := s.Prune(t.Context())
	<-s.writing
	require.NoError(t, err)
	require.Len(t, s.requests(t), storage.RequestIDFloor+2*pruneLook)
	now = now.AddDate(50, 0, 2)
	require.Equal(t, 10, kept(t, s, "a"))
	require.Len(t, s.requests(t), storage.RequestIDFloor)
}

// What may leave the log is judged again by who removes it: the log may be another
// one than that which was looked at.
func TestPruneJudgesAgain(t *testing.T) {
	now := time.Now()
	s := open(t, mariadbtest.Database(t), clock(&now), WithRetention(storage.Retention{Age: time.Nanosecond, Versions: 3, Changes: 10}))
	publishMany(t, s, 30)
	now = now.Add(time.Hour)
	require.NoError(t, s.prune(t.Context(), func(ctx context.Context, tx *transaction) error {
		_, err := tx.pruneLog(ctx, s.retention, now, 30)
		return err
	}))
	require.Equal(t, 10, kept(t, s, "a"))
}

// publishMany publishes a value again and again, each time under a request id.
func publishMany(t *testing.T, s *Store, n int) {
	t.Helper()
	var sets []conf.ChangeSet
	for i := range n {
		sets = append(sets, withID(put("a", fmt.Sprint(i)), fmt.Sprint("r", i)))
	}
	for some := range slices.Chunk(sets, 1000) {
		_, err := s.Commit(t.Context(), some)
		require.NoError(t, err)
	}
}

// A connection that goes silent in the middle of a pruning, and stays open, holds
// publishes of the store for no longer than a transaction of a pruning may take.
func TestS8_SilenceWhilePruning(t *testing.T) {
	p, dsn := through(t, mariadbtest.Database(t))
	s := open(t, dsn, WithRetention(storage.Retention{Age: time.Nanosecond, Versions: 1, Changes: 1}))
	for i := range 3 {
		commit(t, s, put("a", fmt.Sprint(i)))
	}
	silent := make(chan struct{})
	var once sync.Once
	p.at(func(sent []byte) fate {
		f := pass
		if bytes.Contains(sent, []byte("FOR UPDATE")) {
			once.Do(func() { f = swallows; close(silent) })
		}
		return f
	})
	pruned := make(chan error, 1)
	go func() { pruned <- s.Prune(context.WithoutCancel(t.Context())) }() // as in the background
	<-silent
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // as the server has it
	defer cancel()
	r, err := s.Commit(ctx, []conf.ChangeSet{put("a", "3")})
	require.NoError(t, err)
	require.EqualValues(t, 4, r[0].Position.Revision)
	require.ErrorIs(t, <-pruned, conf.ErrUnavailable)
	require.NoError(t, s.Prune(t.Context()), "it is tried again")
}

// rowsRead returns how many rows the database's tables have been asked for, ever.
func rowsRead(t *testing.T, conn *sql.Conn) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRowContext(t.Context(),
		"SELECT SUM(VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME LIKE 'Handler_read_%'").Scan(&n))
	return n
}
