package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// down is what every call of a storage that is away returns.
func down(s *troubled) {
	s.fail(conf.Errorf(conf.ErrUnavailable, "down"), "commit", "changes", "scan", "read", "history", "fork")
}

// A node starts while the database is down. It serves its replica, marked as stale, refuses
// publishes, and catches up without help.
func TestL5_StartFromTheReplicaAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		peer := servertest.Serve(t, store)
		peer.Publish("a", "1")
		peer.Publish("gone", "1")
		at := peer.Remove("gone")
		local := copied(t, store)
		shared := troubledBy(store)
		down(shared)

		begun := time.Now()
		srv := node(t, shared, local)
		assert.Zero(t, time.Since(begun), "it waits for nothing")
		status := srv.Status()
		require.True(t, status.Ready)
		assert.Positive(t, status.Stale)
		assert.Zero(t, status.Confirmed)
		require.ErrorIs(t, status.Storage, conf.ErrUnavailable)
		assert.Equal(t, at, status.Position)
		assert.Equal(t, at, status.Replica.Position)

		time.Sleep(time.Minute)
		got := srv.MustFetch("a")
		assert.Equal(t, "1", got.Entry.Content)
		assert.Equal(t, time.Minute, got.Stale, "since it was started, at the least")
		assert.False(t, srv.MustFetch("gone").Found)
		first := srv.MustPoll(servertest.PollFor(conf.Position{}, 0, "a"))
		assert.Equal(t, "1", first.Changed[0].Entry.Content)
		assert.Positive(t, first.Stale)
		list, err := srv.List(t.Context(), &conf.ListRequest{Contents: true})
		require.NoError(t, err)
		require.Len(t, list.Entries, 1)
		assert.Equal(t, "1", list.Entries[0].Content)
		history, err := srv.History(t.Context(), &conf.HistoryRequest{Key: conf.NewKey("", "gone")})
		require.NoError(t, err)
		assert.Len(t, history.Changes, 2)
		old, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "gone"), Revision: 2})
		require.NoError(t, err)
		assert.Equal(t, "1", old.Entry.Content)

		_, err = srv.CommitSet(setOf("a", "mine"))
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Zero(t, shared.count("commit"), "nothing is written to what may be another store")
		answer := srv.Parked(servertest.PollFor(first.Position, time.Minute, "a"))
		peer.Publish("a", "2")
		shared.heal()
		assert.Equal(t, "2", (<-answer).Changed[0].Entry.Content)
		synctest.Wait() // polls are answered before the feed's round is over
		assert.Zero(t, srv.MustFetch("a").Stale)
		srv.Publish("a", "3")
		assert.Zero(t, shared.count("scan")-shared.count("read"), "it has read what changed, and no more")
		synctest.Wait()
		sameContents(t, store, local)
	})
}

// The changes of many publishers are written to the disk together, soon, and at the latest
// when the server is closed.
func TestReplicaOfABusyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, local := memstore.New(), copyOn(memstore.New())
		shared := troubledBy(store)
		shared.set(func(op string) error {
			if op == "commit" {
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		}, nil)
		srv := node(t, shared, local)
		crowd := func(rounds int) {
			var all sync.WaitGroup
			for p := range 64 {
				all.Go(func() {
					for range rounds {
						srv.Publish(fmt.Sprintf("key-%d", p), "value")
					}
				})
			}
			all.Wait()
		}
		begun := time.Now()
		crowd(200)
		t.Logf("%d writes of the copy in %v, %d transactions", local.count("apply"), time.Since(begun), shared.count("commit"))
		assert.Less(t, local.count("apply"), shared.count("commit")/10)
		time.Sleep(time.Second)
		sameContents(t, store, local)

		crowd(2)
		require.NotEqual(t, srv.Status().Position, srv.Status().Replica.Position, "the copy rests")
		require.NoError(t, srv.Close())
		sameContents(t, store, local)
	})
}

// The database hangs rather than fails.
func TestL5_StartWhileTheStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		servertest.Serve(t, store).Publish("a", "1")
		shared := troubledBy(store)
		release := make(chan struct{})
		shared.set(func(string) error { <-release; return nil }, nil)
		begun := time.Now()
		srv := node(t, shared, copied(t, store))
		assert.LessOrEqual(t, time.Since(begun), time.Second)
		got := srv.MustFetch("a")
		assert.Equal(t, "1", got.Entry.Content)
		assert.Positive(t, got.Stale)
		close(release)
		synctest.Wait()
		assert.Zero(t, srv.MustFetch("a").Stale)
	})
}

// Without a good replica, a node whose database is down is not ready and says so. It never
// answers "not found".
func TestL6_StartWithoutAGoodReplica(t *testing.T) {
	for name, spoil := range map[string]func(*localCopy){
		"empty":   func(c *localCopy) {},
		"damaged": func(c *localCopy) { c.fail(conf.Errorf(conf.ErrCorrupt, "a bit flipped"), "scan", "read") },
		"no head": func(c *localCopy) { c.fail(conf.Errorf(conf.ErrCorrupt, "a bit flipped"), "at", "scan", "read") },
		"failing": func(c *localCopy) { c.fail(conf.Errorf(conf.ErrUnavailable, "i/o error"), "at", "scan", "read") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				servertest.Serve(t, store).Publish("a", "1")
				local := copyOn(memstore.New())
				if name != "empty" {
					local = copyOn(copied(t, store))
				}
				spoil(local)
				shared := troubledBy(store)
				down(shared)
				srv := node(t, shared, local)
				time.Sleep(time.Minute)
				assert.False(t, srv.Status().Ready)
				_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a")})
				require.ErrorIs(t, err, conf.ErrUnavailable)
				_, err = srv.Poll(t.Context(), servertest.PollFor(conf.Position{}, 0, "a"))
				require.ErrorIs(t, err, conf.ErrUnavailable)

				shared.heal()
				time.Sleep(5 * time.Second)
				assert.Equal(t, "1", srv.MustFetch("a").Entry.Content, "it serves without its disk")
				assert.LessOrEqual(t, srv.Status().Replica.Installs, uint64(1), "and is not made anew again and again")
				local.heal()
				time.Sleep(15 * time.Minute)
				require.NoError(t, srv.Status().Replica.Err)
				sameContents(t, store, local.Storage)
			})
		})
	}
}

// The first start with an empty disk builds the replica. The next start reads only the
// changes since from the database.
func TestStartFromAnUpToDateReplicaScansNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		peer := servertest.Serve(t, store)
		for i := range 100 {
			peer.Publish(fmt.Sprint("key-", i), "1")
		}
		shared, local := troubledBy(store), memstore.New()
		first := node(t, shared, local)
		synctest.Wait()
		assert.EqualValues(t, 1, first.Status().Replica.Installs)
		sameContents(t, store, local)
		require.NoError(t, first.Close())
		for i := range 10 {
			peer.Publish(fmt.Sprint("key-", i), "2")
		}
		scans, reads := shared.count("scan"), shared.count("read")
		second := node(t, shared, local)
		assert.True(t, second.Status().Ready)
		assert.Zero(t, second.Status().Stale, "the storage was there")
		assert.Equal(t, "2", second.MustFetch("key-3").Entry.Content)
		assert.Equal(t, "1", second.MustFetch("key-50").Entry.Content)
		synctest.Wait()
		assert.Equal(t, scans, shared.count("scan"))
		assert.Equal(t, reads, shared.count("read"))
		assert.Zero(t, second.Status().Replica.Installs)
		sameContents(t, store, local)
	})
}

// Contents that are not in memory are read from the disk, so that reads, polls and watches
// do not use the database.
func TestWarmNodeCostsTheStorageNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		shared, local := troubledBy(store), copyOn(memstore.New())
		srv := node(t, shared, local, diamond.WithCacheBytes(64<<10))
		defer store.Close()
		start := srv.Status().Position
		synctest.Wait() // for the copy to be made
		for i := range 200 {
			srv.Publish(fmt.Sprint("key-", i), strings.Repeat("x", 1000))
		}
		time.Sleep(time.Second) // for the copy, which rests after many changes
		watches := srv.Watching(100, "other", start, time.Minute)
		scans, reads, changes := shared.count("scan"), shared.count("read"), shared.count("changes")
		for i := range 200 {
			assert.Len(t, srv.MustFetch(fmt.Sprint("key-", i)).Entry.Content, 1000)
			assert.NotNil(t, srv.MustPoll(servertest.PollFor(conf.Position{}, 0, fmt.Sprint("key-", i))).Changed[0].Entry)
		}
		_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "key-1"), Revision: 2})
		require.NoError(t, err)
		var seen int
		for after := start; after != srv.Status().Position; {
			resp, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: after, Contents: true})
			require.NoError(t, err)
			seen, after = seen+len(resp.Changes), resp.Position
		}
		assert.Equal(t, 200, seen)
		srv.Publish("key-1", "a change that none of the watches asks for")
		synctest.Wait()
		assert.Equal(t, []int{scans, reads}, []int{shared.count("scan"), shared.count("read")})
		assert.LessOrEqual(t, shared.count("changes")-changes, 2, "the feed alone looks, at its own times")
		assert.Positive(t, local.count("read"), "else this tests nothing")
		srv.Drain()
		assert.Zero(t, <-watches)
	})
}

// The replica is exactly the state that was served at one moment, whatever was published
// and deleted while it was built. So a server can start from it.
func TestINV2_InstalledReplicaIsAPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		peer := servertest.Serve(t, store)
		for i := range 300 {
			peer.Publish(fmt.Sprintf("key-%03d", i), strings.Repeat("x", 100_000))
		}
		slow := troubledBy(store)
		stop := make(chan struct{})
		var ended atomic.Bool
		slow.set(func(op string) error {
			if op == "scan" && !ended.Load() {
				time.Sleep(time.Second) // publishes and deletions go on
			}
			return nil
		}, nil)
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				switch id := fmt.Sprintf("key-%03d", i*37%310); i % 3 {
				case 0:
					_, _ = peer.CommitSet(conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("", id)}}})
				default:
					peer.Publish(id, fmt.Sprint("value ", i))
				}
			}
		}()
		local := &halted{Store: memstore.New()}
		node(t, slow, local)
		time.Sleep(time.Minute)
		close(stop)
		ended.Store(true)
		synctest.Wait()
		require.NotZero(t, local.at.Revision, "it was installed")
		require.Greater(t, peer.Status().Position.Revision, local.at.Revision+100, "while much was published")
		assert.Equal(t, asOf(t, store, local.at.Revision), local.installed)
	})
}

// halted is a replica that notes what it was installed with, and takes no more.
type halted struct {
	*memstore.Store
	at        conf.Position
	installed map[string]conf.Entry
}

func (h *halted) Apply(ctx context.Context, changes []conf.Change, to conf.Position) error {
	if h.at.IsZero() {
		at, err := h.At(ctx)
		if err != nil {
			return err
		}
		page, err := h.Scan(ctx, conf.ScanRequest{Limit: 10_000, Contents: true})
		if err != nil {
			return err
		}
		h.at, h.installed = at, make(map[string]conf.Entry)
		for _, e := range page.Entries {
			h.installed[e.Key.String()] = e
		}
	}
	return conf.Errorf(conf.ErrNoSpace, "no more")
}

// The copy's disk is full: readers, waiters and publishers notice nothing.
func TestD1_FullDiskOfTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		local := copyOn(memstore.New())
		srv := node(t, store, local, log.option())
		defer store.Close()
		before := srv.Publish("a", "1")
		synctest.Wait()
		local.fail(conf.Errorf(conf.ErrNoSpace, "disk full"), "apply", "install")
		for i := range 100 {
			answer := srv.Parked(servertest.PollFor(srv.Status().Position, time.Minute, "a"))
			srv.Publish("a", strings.Repeat("y", i*10_000))
			assert.Len(t, (<-answer).Changed, 1)
			assert.Len(t, srv.MustFetch("a").Entry.Content, i*10_000)
			time.Sleep(time.Second)
		}
		status := srv.Status()
		require.NoError(t, status.Storage)
		assert.Zero(t, status.Stale)
		require.ErrorIs(t, status.Replica.Err, conf.ErrNoSpace)
		assert.Equal(t, before, status.Replica.Position, "what it had is still there")
		assert.Positive(t, status.Replica.Failures)
		assert.LessOrEqual(t, status.Replica.Failures, uint64(30), "it is not hammered")
		assert.Equal(t, 1, log.count("the replica cannot be written"), "told once")
		local.heal()
		time.Sleep(time.Minute)
		require.NoError(t, srv.Status().Replica.Err)
		sameContents(t, store, local.Storage)
		assert.Equal(t, 1, log.count("the replica can be written again"))
		assert.EqualValues(t, 1, srv.Status().Replica.Installs, "it has caught up by the changes")
	})
}

// The copy's disk takes 5 s for every write.
func TestD5_SlowDiskOfTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		local := copyOn(memstore.New())
		shared := troubledBy(store)
		srv := node(t, shared, local)
		defer store.Close()
		synctest.Wait()
		local.set(func(op string) error {
			if op == "apply" {
				time.Sleep(5 * time.Second)
			}
			return nil
		}, nil)
		reads := shared.count("changes")
		begun := time.Now()
		for i := range 100 {
			answer := srv.Parked(servertest.PollFor(srv.Status().Position, time.Minute, "a"))
			srv.Publish("a", fmt.Sprint("value ", i))
			<-answer
		}
		assert.Zero(t, time.Since(begun), "nobody waits for it")
		time.Sleep(15 * time.Second)
		assert.LessOrEqual(t, local.count("apply"), 3, "what waits is written at once")
		sameContents(t, store, local.Storage)
		assert.LessOrEqual(t, shared.count("changes")-reads, 100+40, "all of it from the feed's own reads")

		// More than the queue takes: the rest comes from the storage.
		for i := range 30 {
			srv.Publish(fmt.Sprint("large-", i), strings.Repeat("z", 1<<20))
		}
		time.Sleep(2 * time.Minute)
		sameContents(t, store, local.Storage)
		require.NoError(t, srv.Status().Replica.Err)
	})
}

// The replica has fallen behind, and the storage no longer keeps the changes that follow it.
func TestReplicaIsMadeAnewWhereChangesAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.WithRetention(storage.Retention{Changes: 10, Versions: 1, Age: time.Nanosecond}))
		defer store.Close()
		local := copyOn(memstore.New())
		srv := node(t, store, local)
		srv.Publish("kept", "1")
		srv.Publish("gone", "1")
		synctest.Wait()
		require.NoError(t, srv.Close())
		peer := servertest.Start(t, store)
		peer.Remove("gone")
		for i := range 50 {
			time.Sleep(time.Millisecond)
			peer.Publish("noise", fmt.Sprint(i))
		}
		srv = node(t, store, local)
		time.Sleep(10 * time.Second)
		assert.False(t, srv.MustFetch("gone").Found)
		assert.Equal(t, "49", srv.MustFetch("noise").Entry.Content)
		assert.EqualValues(t, 1, srv.Status().Replica.Installs)
		sameContents(t, store, local.Storage)
	})
}

// A damaged replica is not read any more, and is rebuilt.
func TestDamagedReplicaIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		local := copyOn(memstore.New())
		srv := node(t, store, local, log.option())
		srv.Publish("a", "secret content")
		synctest.Wait()
		require.NoError(t, srv.Close())
		srv = node(t, store, local, log.option())
		local.fail(conf.Errorf(conf.ErrCorrupt, "a bit flipped"), "read")
		assert.Equal(t, "secret content", srv.MustFetch("a").Entry.Content, "from the storage")
		synctest.Wait()
		assert.EqualValues(t, 1, srv.Status().Replica.Installs)
		assert.Equal(t, 1, log.count("the replica is damaged"))
		assert.NotContains(t, log.String(), "secret")
		sameContents(t, store, local.Storage)
	})
}

// A directory of another store, or of a store that has taken commits, is refused with an
// error that says what to do.
func TestReplicaOfAnotherStoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, other := memstore.New(), memstore.New()
		servertest.Serve(t, mine).Publish("a", "1")
		servertest.Serve(t, other).Publish("a", "2")
		local := copied(t, mine)
		_, err := diamond.NewServer(other, diamond.WithReplica(local))
		require.ErrorIs(t, err, conf.ErrOtherStore)
		assert.ErrorContains(t, err, "empty directory")

		_, err = diamond.NewServer(mine, diamond.WithReplica(other))
		require.ErrorIs(t, err, conf.ErrInvalid)
		assert.ErrorContains(t, err, "no copy")

		// Known only later: it withdraws, and comes back with its own storage.
		var log logged
		swap := &swapped{}
		swap.set(other)
		shared := troubledBy(swap)
		down(shared)
		srv := node(t, shared, local, log.option())
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
		shared.heal()
		time.Sleep(5 * time.Second)
		assert.False(t, srv.Status().Ready)
		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a")})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		_, err = srv.CommitSet(setOf("a", "3"))
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, srv.Status().Storage, conf.ErrOtherStore)
		assert.Contains(t, log.String(), "empty directory")
		entries, _ := contentsOf(t, other)
		assert.Equal(t, "2", entries["public/DEFAULT_GROUP/a"].Content)
		entries, _ = contentsOf(t, local)
		assert.Equal(t, "1", entries["public/DEFAULT_GROUP/a"].Content, "the copy is left as it is")
		swap.set(mine)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)
	})
}

// A replica with entries that are newer than its position is not the state of any position,
// and is not served.
func TestL6_ReplicaThatWasNotCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		peer := servertest.Serve(t, store)
		at := peer.Publish("a", "1")
		peer.Publish("b", "1")
		entries, _ := contentsOf(t, store)
		local := memstore.New()
		require.NoError(t, local.Install(t.Context(), at, func(yield func(conf.Entry, error) bool) {
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}))
		shared := troubledBy(store)
		down(shared)
		srv := node(t, shared, local)
		assert.False(t, srv.Status().Ready)
		shared.heal()
		time.Sleep(time.Minute) // pauses grow by each failure: that of the copy too
		assert.Equal(t, "1", srv.MustFetch("b").Entry.Content)
		assert.EqualValues(t, 1, srv.Status().Replica.Installs)
		sameContents(t, store, local)
	})
}

// The same with a real directory: it is made, written, closed, opened and served.
func TestL5_ReplicaInADirectory(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	dir := t.TempDir()
	open := func() *boltstore.Store {
		local, err := boltstore.Open(dir)
		require.NoError(t, err)
		return local
	}
	local := open()
	srv := node(t, store, local)
	for i := range 50 {
		srv.Publish(fmt.Sprint("key-", i), fmt.Sprint("value ", i))
	}
	at := srv.Remove("key-7")
	require.Eventually(t, func() bool { return srv.Status().Replica.Position == at }, 30*time.Second, time.Millisecond)
	require.NoError(t, srv.Close())
	sameContents(t, store, local)
	require.NoError(t, local.Close())

	local = open()
	defer local.Close()
	shared := troubledBy(store)
	down(shared)
	srv = node(t, shared, local)
	assert.Equal(t, at, srv.Status().Position)
	assert.Equal(t, "value 9", srv.MustFetch("key-9").Entry.Content)
	assert.False(t, srv.MustFetch("key-7").Found)
	assert.Positive(t, srv.MustFetch("key-9").Stale)
	require.NoError(t, srv.Close())
}
