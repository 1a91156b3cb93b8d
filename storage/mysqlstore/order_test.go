package mysqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// S4: a transaction that has its revision and waits lets nobody past: the one
// that comes later gets the higher revision, and no reader ever sees it without
// the first. So it is for writers that are no store, at any isolation.
func TestS4_NoLateLowRevision(t *testing.T) {
	dsn := patient(t, mariadbtest.Database(t))
	a, b, reader := open(t, dsn), open(t, dsn), open(t, dsn)
	db := mariadbtest.Connect(t, dsn)
	head := func() int64 {
		at, err := reader.Changes(t.Context(), conf.Position{}, 1<<20)
		require.NoError(t, err)
		require.Len(t, at.Changes, int(at.Head.Revision))
		return at.Head.Revision
	}
	for round := range 3 {
		before := head()
		// A writes, and holds.
		written, goOn := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		var first conf.Position
		var errs [2]error
		wg.Go(func() {
			errs[0] = a.write(t.Context(), 1, nil, func(ctx context.Context, tx *transaction) error {
				w := tx.writer()
				set := put("a", fmt.Sprint(round))
				c := committer{writer: w, now: time.Now()}
				first = c.commit(&set).Position
				err := c.flush(ctx)
				close(written)
				<-goOn
				return err
			})
		})
		<-written
		var second conf.Position
		wg.Go(func() {
			r, err := b.Commit(t.Context(), []conf.ChangeSet{put("b", fmt.Sprint(round))})
			if errs[1] = err; err == nil {
				second = r[0].Position
			}
		})
		waitFor(t, db, "SELECT STRAIGHT_JOIN")
		late := open(t, dsn) // a server that starts meanwhile
		require.Equal(t, before, head())
		at, err := late.At(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, at.Revision)
		close(goOn)
		wg.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.Equal(t, before+1, first.Revision)
		require.Equal(t, before+2, second.Revision)
		require.Equal(t, before+2, head())
	}
	for _, isolation := range []string{"REPEATABLE READ", "READ COMMITTED", "SERIALIZABLE"} {
		before := head()
		conn := raw(t, dsn)
		exec(t, conn, "SET SESSION TRANSACTION ISOLATION LEVEL "+isolation, "START TRANSACTION",
			"SELECT revision FROM diamond_counter WHERE id = 1 FOR UPDATE")
		done := make(chan error, 1)
		go func() {
			_, err := b.Commit(t.Context(), []conf.ChangeSet{put("b", isolation)})
			done <- err
		}()
		waitFor(t, db, "SELECT STRAIGHT_JOIN")
		require.Equal(t, before, head())
		exec(t, conn, "ROLLBACK")
		require.NoError(t, <-done)
		require.Equal(t, before+1, head(), "a transaction that was rolled back leaves no hole")
	}
}

// S5, S14: connections are killed at any moment while several stores write: no
// revision is missing or there twice, what was acknowledged is there, and what
// was not is settled by its request id.
func TestS5_KilledConnectionsLeaveNoHole(t *testing.T) {
	dsn := mariadbtest.Database(t)
	const stores, writers = 2, 2
	n := campaign.Scale(t, 60, 2500)
	var opened []*Store
	for range stores {
		opened = append(opened, open(t, dsn))
	}
	ctx, stop := context.WithCancel(t.Context())
	var killer, wg sync.WaitGroup
	admin := raw(t, dsn)
	kills := 0
	killer.Go(func() {
		for backoff.Sleep(ctx, rand.N(20*time.Millisecond)) == nil {
			var id int64
			if admin.QueryRowContext(ctx, `SELECT id FROM information_schema.processlist
				WHERE db = DATABASE() AND id <> CONNECTION_ID() ORDER BY RAND() LIMIT 1`).Scan(&id) == nil {
				if _, err := admin.ExecContext(ctx, fmt.Sprint("KILL ", id)); err == nil {
					kills++
				}
			}
		}
	})
	acknowledged := make([][]conf.Position, stores*writers)
	for i, s := range opened {
		for j := range writers {
			w := i*writers + j
			wg.Go(func() {
				for n := range n {
					set := withID(put(fmt.Sprint("k", w), fmt.Sprint(n)), fmt.Sprint(w, "-", n))
					for {
						r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
						if err == nil {
							acknowledged[w] = append(acknowledged[w], r[0].Position)
							break
						}
						if !errors.Is(err, conf.ErrUnavailable) && !errors.Is(err, conf.ErrUnknownOutcome) {
							t.Errorf("commit: %v", err)
							return
						}
					}
				}
			})
		}
	}
	wg.Wait()
	stop()
	killer.Wait()
	t.Logf("%d connections were killed", kills)
	changes := whole(t, open(t, dsn))
	require.Len(t, changes, stores*writers*n, "each set once")
	for w := range acknowledged {
		require.Len(t, acknowledged[w], n)
		for i, at := range acknowledged[w] {
			c := changes[at.Revision-1]
			require.Equal(t, at.Revision, c.Revision)
			require.Equal(t, key(fmt.Sprint("k", w)), c.Key)
			require.Equal(t, fmt.Sprint(i), c.Content)
		}
	}
}
