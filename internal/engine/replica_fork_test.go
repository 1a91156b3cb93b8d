package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// promoted returns what becomes of a store that is failed over to a copy that
// stopped at a revision, and then takes changes.
func promoted(t testing.TB, store diamond.Storage, revision int64) *servertest.Clocked {
	t.Helper()
	p := &servertest.Clocked{Store: servertest.WithoutTail(t, store, revision)}
	var err error
	p.Reached, err = p.At(t.Context())
	require.NoError(t, err)
	return p
}

// The database lost its tail under two nodes with replicas. One epoch begins,
// both nodes and both replicas end with what the database has.
func TestS10_TwoNodesWithReplicasForkOnce(t *testing.T) {
	for name, overwritten := range map[string]int{"overwritten": 20, "shorter": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				first := memstore.New()
				swap := &swapped{}
				swap.set(first)
				locals := []*memstore.Store{memstore.New(), memstore.New()}
				nodes := []*servertest.Served{node(t, swap, locals[0], log.option()), node(t, swap, locals[1], log.option())}
				for i := range 110 {
					nodes[i%2].Publish(fmt.Sprintf("key-%d", i%10), fmt.Sprint("old ", i))
				}
				time.Sleep(time.Second)
				at := nodes[0].Status().Position
				require.Equal(t, at, nodes[1].Status().Position)
				answers := []<-chan *conf.PollResponse{
					nodes[0].Parked(servertest.PollFor(at, time.Minute, "unrelated")),
					nodes[1].Parked(servertest.PollFor(at, time.Minute, "unrelated")),
				}
				replica := promoted(t, first, 100)
				for i := range overwritten {
					_, err := replica.Commit(t.Context(), []conf.ChangeSet{setOf(fmt.Sprintf("key-%d", i%10), fmt.Sprint("new ", i))})
					require.NoError(t, err)
				}
				swap.set(replica)
				for _, answer := range answers {
					assert.True(t, (<-answer).Resync)
				}
				time.Sleep(5 * time.Second)
				want, head := contentsOf(t, replica)
				assert.EqualValues(t, at.Epoch.Generation+1, head.Epoch.Generation, "one epoch, whoever was first")
				for i, n := range nodes {
					assert.Equal(t, head, n.Status().Position)
					assert.EqualValues(t, 1, n.Status().Counters.Forks)
					got, reached := contentsOf(t, locals[i])
					assert.Equal(t, head, reached)
					assert.Equal(t, want, got, "the replica has nothing of what was lost")
				}
			})
		})
	}
}

// An old backup was restored while the nodes were down. Their replicas are ahead of it, so
// the nodes notice, although the database cannot. Clients with snapshots of the lost
// changes notice too.
func TestS11_ReplicaAheadOfTheStorageAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		first := memstore.New()
		locals := []*memstore.Store{memstore.New(), memstore.New()}
		before := servertest.Serve(t, first)
		for i := range 50 {
			before.Publish(fmt.Sprintf("key-%d", i%5), fmt.Sprint("old ", i))
		}
		at := before.Publish("only-in-the-tail", "lost")
		for _, local := range locals {
			batch, err := first.Changes(t.Context(), conf.Position{}, 1<<40)
			require.NoError(t, err)
			require.NoError(t, local.Apply(t.Context(), batch.Changes, batch.Head))
		}
		restored := promoted(t, first, 20)
		_, err := restored.Commit(t.Context(), []conf.ChangeSet{setOf("key-0", "new")})
		require.NoError(t, err)
		shared := troubledBy(restored)
		nodes := []*servertest.Served{node(t, shared, locals[0], log.option()), node(t, shared, locals[1], log.option())}
		time.Sleep(time.Minute)
		want, head := contentsOf(t, restored)
		assert.EqualValues(t, at.Revision+1, head.Revision, "above all that was seen")
		assert.EqualValues(t, at.Epoch.Generation+1, head.Epoch.Generation)
		for i, n := range nodes {
			assert.Equal(t, "new", n.MustFetch("key-0").Entry.Content)
			gone := n.MustFetch("only-in-the-tail")
			assert.False(t, gone.Found)
			assert.Positive(t, gone.Position.Compare(at), "a step forward for who has seen it (D9)")
			assert.True(t, n.MustPoll(servertest.PollFor(at, 0, "key-0")).Resync)
			assert.Zero(t, gone.Stale)
			got, reached := contentsOf(t, locals[i])
			assert.Equal(t, head, reached)
			assert.Equal(t, want, got)
		}
		assert.Contains(t, log.String(), "lost_up_to_revision=51")
		assert.Contains(t, log.String(), "only-in-the-tail")
	})
}

// A node publishes to a database that has lost its tail. The set is acknowledged once it
// can be read there, even by a node that knows the history only from its replica. It
// proves the loss, so the node does not wait to see whether the database only lags.
func TestS10_PublishProvesTheLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		before := servertest.Serve(t, first)
		for i := range 50 {
			before.Publish("a", fmt.Sprint("old ", i))
		}
		swap := &swapped{}
		swap.set(first)
		local := copied(t, first)
		srv := node(t, swap, local)
		restored := promoted(t, first, 20)
		swap.set(restored)
		begun := time.Now()
		at := srv.Publish("a", "new")
		assert.EqualValues(t, 21, at.Revision)
		assert.Equal(t, "new", srv.MustFetch("a").Entry.Content)
		assert.Less(t, time.Since(begun), 10*time.Second)
		assert.EqualValues(t, 1, srv.Status().Counters.Forks)
		time.Sleep(5 * time.Second)
		sameContents(t, restored, local)
	})
}

// A replica that still has the lost history, because its disk fails, is not read: its
// revisions are other values now.
func TestS10_ReplicaOfLostHistoryIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		defer first.Close()
		swap := &swapped{}
		swap.set(first)
		local := copyOn(memstore.New())
		srv := node(t, swap, local)
		for i := range 10 {
			srv.Publish("a", fmt.Sprint("old ", i))
		}
		time.Sleep(time.Second)
		local.fail(conf.Errorf(conf.ErrUnavailable, "the disk fails"), "at", "apply", "install")
		replica := promoted(t, first, 5)
		for i := range 3 {
			_, err := replica.Commit(t.Context(), []conf.ChangeSet{setOf("a", fmt.Sprint("new ", i))})
			require.NoError(t, err)
		}
		swap.set(replica)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, srv.Status().Counters.Forks)
		got, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), Revision: 6})
		require.NoError(t, err)
		assert.Equal(t, "new 0", got.Entry.Content)
	})
}

// A replica that is damaged again soon after it was rebuilt is not rebuilt for a while,
// because that reads everything from the storage.
func TestReplicaDamagedAgainIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		local := copyOn(memstore.New())
		srv := node(t, store, local, diamond.WithSelfCheck(1000*time.Hour))
		srv.Publish("a", "1")
		srv.Publish("a", "2")
		time.Sleep(time.Second)
		before := srv.Status().Replica.Installs
		local.fail(conf.Errorf(conf.ErrCorrupt, "a bit flipped"), "read")
		earlier := func() {
			got, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), Revision: 1})
			require.NoError(t, err)
			assert.Equal(t, "1", got.Entry.Content, "from the storage")
			time.Sleep(time.Minute)
		}
		earlier()
		assert.Equal(t, before+1, srv.Status().Replica.Installs)
		for range 5 {
			earlier()
		}
		assert.Equal(t, before+1, srv.Status().Replica.Installs)
		assert.ErrorIs(t, srv.Status().Replica.Err, conf.ErrCorrupt)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, before+2, srv.Status().Replica.Installs)
	})
}
