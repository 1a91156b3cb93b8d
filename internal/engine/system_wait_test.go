package engine_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// pollOf returns a poll of keys after a position.
func pollOf(at conf.Position, wait time.Duration, keys ...conf.Key) *conf.PollRequest {
	return &conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys, Position: at, Wait: wait}
}

// A poll at the inner door ends with Resync when void is closed, while it waits or before; with
// its answer if there is one; and at its deadline.
func TestSystem_PollVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		door := systemDoor(srv)
		at := putBy(t, door, document("a"), "1")
		void, begun := make(chan struct{}), time.Now()
		time.AfterFunc(10*time.Second, func() { close(void) })
		resp, err := door.Poll(t.Context(), pollOf(at, 20*time.Second, document("a")), void)
		require.NoError(t, err)
		assert.True(t, resp.Resync)
		assert.Equal(t, at, resp.Position)
		assert.Equal(t, 10*time.Second, time.Since(begun))

		resp, err = door.Poll(t.Context(), pollOf(at, 20*time.Second, document("a")), void)
		require.NoError(t, err)
		assert.True(t, resp.Resync, "it is closed already")
		assert.Equal(t, 10*time.Second, time.Since(begun), "nobody waits")
		resp, err = door.Poll(t.Context(), pollOf(at, 0, document("a")), void)
		require.NoError(t, err)
		assert.True(t, resp.Resync, "whoever does not want to wait learns of it too")
		resp, err = door.Poll(t.Context(), pollOf(conf.Position{}, 20*time.Second, document("a")), void)
		require.NoError(t, err)
		assert.Len(t, resp.Changed, 1, "an answer that needs no wait is given")

		for _, void := range []chan struct{}{nil, make(chan struct{})} {
			begun = time.Now()
			resp, err = door.Poll(t.Context(), pollOf(at, 20*time.Second, document("a")), void)
			require.NoError(t, err)
			assert.False(t, resp.Resync)
			assert.Equal(t, 20*time.Second, time.Since(begun))
		}
		assert.Zero(t, srv.Status().Waiters)
		assert.EqualValues(t, 3, srv.Status().Counters.PollResync)
	})
}

// A watch at the inner door ends with what there is when void is closed.
func TestSystem_ChangesVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		door := systemDoor(srv)
		at := putBy(t, door, document("a"), "1")
		void, begun := make(chan struct{}), time.Now()
		time.AfterFunc(10*time.Second, func() { close(void) })
		time.AfterFunc(5*time.Second, func() { srv.Publish("other", "x") })
		watch := &conf.ChangesRequest{After: at, Namespace: "_govern", Wait: 20 * time.Second}
		resp, err := door.Changes(t.Context(), watch, void)
		require.NoError(t, err)
		assert.Empty(t, resp.Changes)
		assert.Equal(t, srv.Status().Position, resp.Position)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		_, err = door.Changes(t.Context(), watch, void)
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(begun), "it is closed already")
		watch.After = conf.Position{}
		resp, err = door.Changes(t.Context(), watch, void)
		require.NoError(t, err)
		assert.Len(t, resp.Changes, 1)
		assert.Zero(t, srv.Status().Waiters)
	})
}

// A set that was polled at the inner door is not known at the public one, which answers with
// no key of the system, whether it names the set or sends its keys.
func TestSystem_SetsOfTheDoorsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		door := systemDoor(srv)
		putBy(t, door, document("a"), "1")
		full := pollOf(conf.Position{}, 0, document("a"))
		resp, err := door.Poll(t.Context(), full, nil)
		require.NoError(t, err)
		require.Len(t, resp.Changed, 1)
		assert.Equal(t, "1", resp.Changed[0].Entry.Content)
		assert.Empty(t, resp.Denied)
		named := &conf.PollRequest{Set: full.Set}
		assert.True(t, srv.MustPoll(named).Resync)
		denied := srv.MustPoll(full)
		assert.Empty(t, denied.Changed)
		assert.Len(t, denied.Denied, 1)
		denied = srv.MustPoll(named)
		assert.Empty(t, denied.Changed)
		assert.Len(t, denied.Denied, 1)
		resp, err = door.Poll(t.Context(), named, nil)
		require.NoError(t, err)
		assert.Len(t, resp.Changed, 1)
	})
}

// The keys of a set count against the principal that sent it, whatever its address.
func TestPoll_SetsCountPerPrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New(), diamond.WithSetKeys(100, 2))
		door := systemDoor(srv)
		poll := func(name, address, dataID string) error {
			ctx := conf.WithCaller(t.Context(), conf.Caller{Principal: conf.Principal{Name: name}, Address: address})
			_, err := door.Poll(ctx, pollOf(conf.Position{}, time.Second, conf.NewKey("", dataID)), nil)
			return err
		}
		var all sync.WaitGroup
		for _, id := range []string{"a", "b"} {
			all.Go(func() { assert.NoError(t, poll("token:x", "192.0.2.1:1", id)) })
		}
		synctest.Wait()
		require.ErrorIs(t, poll("token:x", "203.0.113.1:1", "c"), conf.ErrOverloaded)
		require.NoError(t, poll("token:y", "192.0.2.1:1", "d"))
		require.NoError(t, poll("", "192.0.2.1:1", "e"))
		all.Wait()
	})
}

// asked are all methods of a public door.
func asked(ctx context.Context, srv diamond.Server) map[string]error {
	key := conf.NewKey("", "public")
	errs := make(map[string]error)
	_, errs["fetch"] = srv.Fetch(ctx, &conf.FetchRequest{Key: key})
	_, errs["poll"] = srv.Poll(ctx, pollOf(conf.Position{}, 0, key))
	_, errs["commit"] = srv.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: "x"}}}})
	_, errs["changes"] = srv.Changes(ctx, &conf.ChangesRequest{})
	_, errs["list"] = srv.List(ctx, &conf.ListRequest{})
	_, errs["history"] = srv.History(ctx, &conf.HistoryRequest{Key: key})
	_, errs["report"] = srv.Report(ctx, &conf.ReportRequest{Client: conf.ClientInfo{ID: "c"}, Reports: []conf.Report{{Key: key, Revision: 1, Applied: true}}})
	return errs
}

// The public door of a governed store is closed: when the marker appears, which ends what is
// parked, when a server starts, and from a replica. The inner door serves.
func TestGoverned_PublicDoorIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		var log strings.Builder
		srv := servertest.Start(t, store, diamond.WithReplica(memstore.New()), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		door := systemDoor(srv)
		at := srv.Publish("public", "1")
		for op, err := range asked(t.Context(), srv) {
			require.NoError(t, err, op)
		}
		at = srv.Status().Position
		begun := time.Now()
		var polled, watched, inside error
		var parked sync.WaitGroup
		parked.Go(func() {
			_, polled = srv.Poll(t.Context(), pollOf(at, 30*time.Second, conf.NewKey("", "public")))
		})
		parked.Go(func() {
			_, watched = srv.Changes(t.Context(), &conf.ChangesRequest{After: at, Wait: 30 * time.Second})
		})
		var within time.Duration
		var both sync.WaitGroup
		both.Go(func() {
			_, inside = door.Poll(t.Context(), pollOf(at, 30*time.Second, conf.NewKey("", "public")), nil)
			within = time.Since(begun)
		})
		time.Sleep(time.Second)
		putBy(t, door, engine.Marker, "{}")
		parked.Wait()
		assert.Equal(t, time.Second, time.Since(begun), "parked requests end at once")
		require.ErrorIs(t, polled, conf.ErrUnavailable)
		require.ErrorIs(t, watched, conf.ErrUnavailable)
		both.Wait()
		require.NoError(t, inside)
		assert.Equal(t, 30*time.Second, within, "the inner door's wait on")

		closed := func(srv *servertest.Served) {
			t.Helper()
			for op, err := range asked(t.Context(), srv) {
				require.ErrorIs(t, err, conf.ErrUnavailable, op)
				assert.ErrorContains(t, err, "the store is governed", op)
			}
			status := srv.Status()
			assert.False(t, status.Ready)
			assert.ErrorContains(t, status.Closed, "the store is governed")
			inner := systemDoor(srv).Status()
			assert.True(t, inner.Ready)
			assert.NoError(t, inner.Closed)
			fetched, err := systemDoor(srv).Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "public")})
			require.NoError(t, err)
			assert.True(t, fetched.Found)
		}
		closed(srv)
		closed(servertest.Start(t, store))
		assert.Equal(t, 1, strings.Count(log.String(), "a request was refused: the store is governed"), "once a minute, however often")

		deleteBy(t, door, engine.Marker)
		for op, err := range asked(t.Context(), srv) {
			require.NoError(t, err, op)
		}
		assert.True(t, srv.Status().Ready)
	})
}

// WithUngoverned ignores the marker, and says so in the log.
func TestGoverned_Ungoverned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		putBy(t, systemDoor(servertest.Start(t, store)), engine.Marker, "{}")
		var log strings.Builder
		srv := servertest.Start(t, store, diamond.WithUngoverned(), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for op, err := range asked(t.Context(), srv) {
			require.NoError(t, err, op)
		}
		assert.True(t, srv.Status().Ready)
		assert.NoError(t, srv.Status().Closed)
		assert.Contains(t, log.String(), "level=WARN")
		assert.Contains(t, log.String(), "the store is governed")
	})
}

// A server whose store is governed says nothing about that as long as all requests come by the
// inner door, as those of a Centre do.
func TestGoverned_QuietWhereNobodyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		putBy(t, systemDoor(servertest.Start(t, store)), engine.Marker, "{}")
		var log strings.Builder
		srv := servertest.Start(t, store, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		_, err := systemDoor(srv).Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "public")})
		require.NoError(t, err)
		assert.Error(t, srv.Status().Closed)
		assert.NotContains(t, log.String(), "governed")
	})
}

// CatchUp returns when everything is served that the storage had when it was called, long
// before the next round of the feed.
func TestSystem_CatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		sick := troubledBy(store)
		srv, other := servertest.Start(t, sick, diamond.WithFeedInterval(time.Hour)), servertest.Start(t, store)
		door := systemDoor(srv)
		at := other.Publish("x", "1")
		require.Zero(t, srv.Status().Position.Revision)
		begun := time.Now()
		require.NoError(t, door.CatchUp(t.Context()))
		assert.Equal(t, at, srv.Status().Position)
		assert.Less(t, time.Since(begun), time.Second)
		before := sick.count("changes")
		require.NoError(t, door.CatchUp(t.Context()))
		assert.Equal(t, before, sick.count("changes"), "there is nothing to read")

		other.Publish("x", "2")
		sick.fail(conf.Errorf(conf.ErrClosed, "secret words"), "scan", "changes")
		require.ErrorIs(t, door.CatchUp(t.Context()), conf.ErrUnavailable)
		sick.fail(conf.Errorf(conf.ErrUnavailable, "no"), "changes")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, door.CatchUp(ctx), conf.ErrUnavailable)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, door.CatchUp(ctx), context.Canceled)
		sick.heal()
		require.NoError(t, srv.Close())
		require.ErrorIs(t, door.CatchUp(t.Context()), conf.ErrClosed)
	})
}

// PositionAt knows the positions of what was served, and nothing above that.
func TestSystem_PositionAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Start(t, store)
		door := systemDoor(srv)
		want := []conf.Position{srv.Status().Position}
		for range 20 {
			want = append(want, srv.Publish("x", "1"))
		}
		for revision, p := range want {
			at, found, err := door.PositionAt(t.Context(), int64(revision), true)
			require.NoError(t, err)
			assert.True(t, found, revision)
			assert.Equal(t, p, at)
		}
		for _, revision := range []int64{21, -1} {
			_, found, err := door.PositionAt(t.Context(), revision, false)
			require.NoError(t, err)
			assert.False(t, found, revision)
		}
		seen := want[20] // of another server, so that an epoch begins
		seen.Revision += 10
		_, err := store.Fork(t.Context(), seen)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		at, found, err := door.PositionAt(t.Context(), 20, true)
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, want[20], at, "with the epoch that it was of")
		require.NoError(t, srv.Close())
		_, _, err = door.PositionAt(t.Context(), 20, true)
		require.ErrorIs(t, err, conf.ErrClosed)
	})
}

// What is not in memory PositionAt asks the storage for, unless it must not.
func TestSystem_PositionAtOfTheStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		first := servertest.Start(t, store)
		var want []conf.Position
		for range 20 {
			want = append(want, first.Publish("x", "1"))
		}
		sick := troubledBy(store)
		srv := servertest.Start(t, sick)
		door := systemDoor(srv)
		_, found, err := door.PositionAt(t.Context(), 5, true)
		require.NoError(t, err)
		assert.False(t, found)
		assert.Zero(t, sick.count("positionAt"))
		at, found, err := door.PositionAt(t.Context(), 5, false)
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, want[4], at)
		sick.fail(conf.Errorf(conf.ErrUnavailable, "no"), "positionAt")
		_, found, err = door.PositionAt(t.Context(), 5, false)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.False(t, found)
		sick.fail(conf.Errorf(conf.ErrCompacted, "no"), "positionAt")
		_, found, err = door.PositionAt(t.Context(), 5, false)
		require.NoError(t, err)
		assert.False(t, found)
	})
}

// Usage and Namespaces at the door, after changes and after a restart.
func TestSystem_Usage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Start(t, store)
		door := systemDoor(srv)
		srv.Publish("a", "123")
		srv.Publish("b", "4567")
		srv.Publish("a", "12")
		srv.Publish("c", "89")
		srv.Remove("c")
		putBy(t, door, document("a"), "{}")
		putBy(t, door, conf.Key{Namespace: "gone", Group: "g", DataID: "d"}, "x")
		deleteBy(t, door, conf.Key{Namespace: "gone", Group: "g", DataID: "d"})
		for _, door := range []engine.System{door, systemDoor(servertest.Start(t, store))} {
			keys, bytes := door.Usage("public")
			assert.Equal(t, 2, keys)
			assert.EqualValues(t, 6, bytes)
			keys, bytes = door.Usage("gone")
			assert.Zero(t, keys)
			assert.Zero(t, bytes)
			assert.Equal(t, []string{"_govern", "public"}, door.Namespaces())
		}
	})
}
