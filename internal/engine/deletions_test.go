package engine_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Who comes back from before a deletion learns of it, or is asked to start
// afresh, while tombstones are let go of and changes of its keys are applied.
func TestINV5_DeletionsAreToldWhileTombstonesGo(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
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
	for round := range campaign.Scale(t, 3, 500) {
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
