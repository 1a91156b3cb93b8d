package engine_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"testing/synctest"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A client that polls with a position before a deletion learns of it, or is asked for all
// its keys, while tombstones are dropped and changes of its keys are applied.
func TestINV5_DeletionsAreToldWhileTombstonesGo(t *testing.T) {
	// Otherwise history would be millions of changes in memory.
	srv := servertest.Serve(t, memstore.New(memstore.WithRetention(storage.Retention{Age: time.Second})))
	churn := func(round int) {
		var add, drop conf.ChangeSet
		for i := range 999 {
			k := conf.NewKey("", fmt.Sprint("churn-", i))
			add.Drafts = append(add.Drafts, conf.Draft{Key: k, Content: "x"})
			drop.Deletes = append(drop.Deletes, conf.Delete{Key: k})
		}
		// A reader meets this key first, above its position: it takes the slow way.
		drop.Drafts = []conf.Draft{{Key: conf.NewKey("", "aa-hot"), Content: fmt.Sprint(round)}}
		for _, set := range []conf.ChangeSet{add, drop} {
			_, err := srv.CommitSet(set)
			require.NoError(t, err)
		}
	}
	for round := range 10 {
		churn(round) // as many tombstones as are kept
	}
	var asked atomic.Int64
	for round := range campaign.Scale(t, 3, 100) {
		victim := fmt.Sprint("zz-victim-", round)
		before := srv.Publish(victim, "v")
		gone := srv.Remove(victim)
		ids := []string{"aa-hot"}
		for i := range 4000 { // looking at them takes a while
			ids = append(ids, fmt.Sprintf("mm-%05d", i))
		}
		req := servertest.PollFor(before, 0, append(ids, victim)...)
		srv.MustPoll(req)
		req.Keys = nil
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for ctx.Err() == nil {
					resp, err := srv.Poll(context.Background(), req)
					if !assert.NoError(t, err) {
						return
					}
					asked.Add(1)
					told := resp.Resync
					for _, c := range resp.Changed {
						told = told || c.Key.DataID == victim
					}
					if !assert.True(t, told || resp.Position.Revision < gone.Revision,
						"at revision %d the deletion at %d was not told", resp.Position.Revision, gone.Revision) {
						return
					}
				}
			})
		}
		for range 11 {
			churn(round)
		}
		stop()
		readers.Wait()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d polls", asked.Load())
}

// A snapshot of all keys is exactly the state of one position, whatever is published and
// deleted while it is made.
func TestINV2_ViewsAreAsOfOnePosition(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	srv.PublishMany(0, 0, 20_000)
	const keys = 50
	set := func(v int) (c conf.ChangeSet) { // in each, all keys have the same value, or none is there
		for i := range keys {
			k := conf.NewKey("", fmt.Sprintf("0-%05d-x", i*400))
			if v%5 == 4 {
				c.Deletes = append(c.Deletes, conf.Delete{Key: k})
			} else {
				c.Drafts = append(c.Drafts, conf.Draft{Key: k, Content: fmt.Sprint(v)})
			}
		}
		c.Drafts = append(c.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprint("new-", v)), Content: "x"})
		return c
	}
	var publishing sync.WaitGroup
	done := make(chan struct{})
	publishing.Go(func() {
		defer close(done)
		for v := range 300 {
			_, err := srv.CommitSet(set(v))
			assert.NoError(t, err)
		}
	})
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		at, entries := engine.ViewOf(srv.Server)
		newest := 0
		for i := range entries {
			require.LessOrEqual(t, entries[i].Revision, at.Revision)
			if len(entries[i].Key.DataID) == len("0-00000-x") {
				newest++
				require.Equal(t, at.Revision, entries[i].Revision)
			}
		}
		require.Contains(t, []int{0, keys}, newest)
	}
	publishing.Wait()
}

// Parked polls fail at once when their server finds another store in place of its own,
// because it can no longer answer them.
func TestWithdrawalAnswersAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, other := memstore.New(), memstore.New()
		defer other.Close()
		swap := &swapped{}
		swap.set(mine)
		srv := servertest.Serve(t, swap)
		at := srv.Publish("a", "1")
		failed := make(chan error, 1)
		go func() {
			_, err := srv.Poll(t.Context(), servertest.PollFor(at, time.Minute, "a"))
			failed <- err
		}()
		synctest.Wait()
		begun := time.Now()
		swap.set(other)
		assert.ErrorIs(t, <-failed, conf.ErrUnavailable)
		assert.Less(t, time.Since(begun), 5*time.Second)
	})
}
