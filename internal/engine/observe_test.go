package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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

// systemDoor opens the inner door of a server.
func systemDoor(srv *servertest.Served) engine.System { return srv.Server.(*engine.Server).System() }

// document is the key of an entry in a system namespace.
func document(name string) conf.Key {
	return conf.Key{Namespace: "_govern", Group: "role", DataID: name}
}

// putBy commits an entry by an inner door.
func putBy(t testing.TB, door engine.System, key conf.Key, content string) conf.Position {
	t.Helper()
	resp, err := door.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}}})
	require.NoError(t, err)
	return resp.Position
}

// deleteBy deletes an entry by an inner door.
func deleteBy(t testing.TB, door engine.System, key conf.Key) conf.Position {
	t.Helper()
	resp, err := door.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: key}}}})
	require.NoError(t, err)
	return resp.Position
}

// mirrored has what an observer knows of the system namespaces.
type mirrored struct {
	mu       sync.Mutex
	contents map[conf.Key]string // nil: nothing was observed yet
	resets   int
	seen     []engine.Observation
	stray    int // changes that were not after what was known
}

func (m *mirrored) observe(o engine.Observation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.Reset {
		m.contents = make(map[conf.Key]string)
		m.resets++
	} else if m.contents == nil || len(m.seen) > 0 && o.Position.Compare(m.seen[len(m.seen)-1].Position) <= 0 {
		m.stray++
	}
	for i := range o.Changes {
		if c := &o.Changes[i]; c.Op == conf.OpDelete {
			delete(m.contents, c.Key)
		} else {
			m.contents[c.Key] = c.Content
		}
	}
	m.seen = append(m.seen, o)
}

func (m *mirrored) last() engine.Observation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[len(m.seen)-1]
}

// Observe: present entries at once, then each change of a system key in order, with its
// content, and no others.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		door := systemDoor(srv)
		putBy(t, door, document("a"), "1")
		putBy(t, door, document("gone"), "1")
		deleteBy(t, door, document("gone"))
		at := srv.Publish("public", "x")
		var m mirrored
		stop := door.Observe(m.observe)
		require.Len(t, m.seen, 1, "the present state, before Observe returns")
		first := m.seen[0]
		assert.True(t, first.Reset)
		assert.Equal(t, at, first.Position)
		require.Len(t, first.Changes, 1)
		assert.Equal(t, document("a"), first.Changes[0].Key)
		assert.Equal(t, "1", first.Changes[0].Content)
		assert.EqualValues(t, 1, first.Changes[0].Revision)

		srv.Publish("public", "y")
		require.Len(t, m.seen, 1, "no change of a system key")
		at = putBy(t, door, document("b"), "2")
		require.Len(t, m.seen, 2)
		assert.False(t, m.last().Reset)
		assert.Equal(t, at, m.last().Position)
		assert.Equal(t, "2", m.last().Changes[0].Content)
		deleteBy(t, door, document("a"))
		assert.Equal(t, map[conf.Key]string{document("b"): "2"}, m.contents)

		stop()
		putBy(t, door, document("c"), "3")
		assert.Len(t, m.seen, 3)
		assert.Zero(t, m.stray)
	})
}

// Nobody can see a position before the observers have returned: neither a read, a list, a
// poll, a watch nor the status.
func TestObserve_BeforeAnybodyCanSee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		door := systemDoor(srv)
		before := srv.Publish("public", "x")
		release := make(chan struct{})
		var observed conf.Position
		stop := door.Observe(func(o engine.Observation) {
			if !o.Reset {
				observed = o.Position
				<-release
			}
		})
		defer stop()
		keys := []conf.Key{document("a")}
		var polled, watched, committed bool
		var all sync.WaitGroup
		all.Go(func() {
			resp, err := door.Poll(t.Context(), &conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys, Position: before, Wait: time.Minute}, nil)
			assert.NoError(t, err)
			assert.Len(t, resp.Changed, 1)
			polled = true
		})
		all.Go(func() {
			_, err := door.Changes(t.Context(), &conf.ChangesRequest{After: before, Namespace: "_govern", Wait: time.Minute}, nil)
			assert.NoError(t, err)
			watched = true
		})
		synctest.Wait()
		all.Go(func() {
			_, err := door.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: document("a"), Content: "1"}}}})
			assert.NoError(t, err)
			committed = true
		})
		synctest.Wait()
		require.EqualValues(t, before.Revision+1, observed.Revision)
		assert.False(t, polled || watched || committed)
		assert.Equal(t, before, srv.Status().Position)
		fetched, err := door.Fetch(t.Context(), &conf.FetchRequest{Key: document("a")})
		require.NoError(t, err)
		assert.False(t, fetched.Found)
		listed, err := door.List(t.Context(), &conf.ListRequest{Namespace: "_govern"})
		require.NoError(t, err)
		assert.Equal(t, before, listed.Position)
		assert.Empty(t, listed.Entries)
		close(release)
		all.Wait()
		assert.True(t, polled && watched && committed)
		assert.Equal(t, observed, srv.Status().Position)
	})
}

// An observer that registers during a stream of commits, by this server and another one,
// misses nothing and gets nothing twice.
func TestObserve_DuringCommits(t *testing.T) {
	store := memstore.New()
	srv, other := servertest.Start(t, store, diamond.WithFeedInterval(time.Millisecond)), servertest.Start(t, store)
	door := systemDoor(srv)
	for i := range 3 * 20 {
		putBy(t, door, document(fmt.Sprint("old-", i)), "0")
	}
	ended := make(chan struct{})
	var writing sync.WaitGroup
	for n, by := range []engine.System{door, systemDoor(other)} {
		writing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					return
				default:
				}
				key := document(fmt.Sprintf("d-%d-%d", n, i%7))
				if _, err := by.Commit(context.Background(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: fmt.Sprint(i)}}}}); err != nil {
					assert.NoError(t, err)
					return
				}
			}
		})
	}
	many := make([]mirrored, 30)
	for i := range many {
		stop := door.Observe(many[i].observe)
		defer stop()
	}
	close(ended)
	writing.Wait()
	require.NoError(t, door.CatchUp(t.Context()))
	want := make(map[conf.Key]string)
	listed, err := door.List(t.Context(), &conf.ListRequest{Namespace: "_govern", Contents: true, Limit: 1000})
	require.NoError(t, err)
	for _, e := range listed.Entries {
		want[e.Key] = e.Content
	}
	for i := range many {
		many[i].mu.Lock()
		assert.Equal(t, want, many[i].contents)
		assert.Zero(t, many[i].stray)
		assert.Equal(t, 1, many[i].resets)
		many[i].mu.Unlock()
	}
}

// An observer that registers while a content cannot be read is told once it can, and is told
// of no change before that.
func TestObserve_ContentsThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		first := servertest.Start(t, store)
		for i := range 40 {
			putBy(t, systemDoor(first), document(fmt.Sprintf("%02d", i)), fmt.Sprint(i))
		}
		sick := troubledBy(store)
		srv := servertest.Start(t, sick)
		sick.fail(conf.Errorf(conf.ErrUnavailable, "no"), "scan", "read")
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		assert.Empty(t, m.seen)
		putBy(t, systemDoor(srv), document("new"), "x")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, m.seen)
		sick.heal()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, m.seen, 1)
		assert.True(t, m.seen[0].Reset)
		assert.Len(t, m.contents, 41)
		assert.Equal(t, "39", m.contents[document("39")])
		require.True(t, slices.IsSortedFunc(m.seen[0].Changes, func(a, b conf.Change) int { return a.Key.Compare(b.Key) }))
	})
}

// A server that loads anew serves no state of which its observers were not told: not while the
// contents cannot be read.
func TestObserve_Reload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		sick := troubledBy(store)
		srv := servertest.Start(t, sick)
		other := servertest.Start(t, store)
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		at := putBy(t, systemDoor(srv), document("a"), "1")
		reads, rounds := error(conf.Errorf(conf.ErrUnavailable, "no")), 0
		var mu sync.Mutex
		sick.set(func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			switch op {
			case "read":
				return reads
			case "changes":
				if rounds++; rounds%2 == 1 { // the next call is that of the load
					return conf.Errorf(conf.ErrCompacted, "gone")
				}
			}
			return nil
		}, nil)
		for i := range 5 {
			putBy(t, systemDoor(other), document("b"), fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, at, srv.Status().Position, "what cannot be observed is not served")
		assert.NotZero(t, srv.Status().Stale)
		assert.Equal(t, 1, m.resets)
		mu.Lock()
		reads = nil
		mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.EqualValues(t, at.Revision+5, srv.Status().Position.Revision)
		assert.Greater(t, m.resets, 1)
		assert.True(t, m.last().Reset)
		assert.Equal(t, srv.Status().Position, m.last().Position)
		assert.Equal(t, map[conf.Key]string{document("a"): "1", document("b"): "4"}, m.contents)
	})
}

// After a loss of history, observers begin anew with the epoch that follows.
func TestObserve_Loss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		srv := servertest.Serve(t, swap)
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		putBy(t, systemDoor(srv), document("kept"), "1")
		kept := putBy(t, systemDoor(srv), document("changed"), "1")
		putBy(t, systemDoor(srv), document("changed"), "2")
		at := putBy(t, systemDoor(srv), document("lost"), "1")
		swap.set(servertest.WithoutTail(t, first, kept.Revision))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, at.Epoch.Generation+1, srv.Status().Position.Epoch.Generation)
		assert.True(t, m.last().Reset)
		assert.Equal(t, srv.Status().Position, m.last().Position)
		assert.Equal(t, map[conf.Key]string{document("kept"): "1", document("changed"): "1"}, m.contents)
	})
}

// A fork after all that a server has seen loses nothing, and the observers learn of the epoch.
func TestObserve_Fork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Start(t, store)
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		at := putBy(t, systemDoor(srv), document("a"), "1")
		seen := at
		seen.Revision += 10 // as another server had
		seen.Chain[0]++
		_, err := store.Fork(t.Context(), seen)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, at.Epoch.Generation+1, srv.Status().Position.Epoch.Generation)
		assert.Equal(t, srv.Status().Position, m.last().Position)
		assert.Equal(t, map[conf.Key]string{document("a"): "1"}, m.contents)
	})
}

// While the storage is another store, nothing is served. Then observers begin anew.
func TestObserve_Withdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		srv := servertest.Serve(t, swap)
		putBy(t, systemDoor(srv), document("a"), "1")
		swap.set(memstore.New())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.False(t, srv.Status().Ready)
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		assert.Empty(t, m.seen, "there is no state")
		swap.set(first)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.True(t, srv.Status().Ready)
		require.Len(t, m.seen, 1)
		assert.Equal(t, map[conf.Key]string{document("a"): "1"}, m.contents)
	})
}

// A record that the self-check repairs is observed before it is served.
func TestObserve_Repair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Start(t, memstore.New(), diamond.WithSelfCheck(time.Minute))
		at := putBy(t, systemDoor(srv), document("a"), "1")
		engine.ForgetRecord(srv.Server, document("a"))
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		m.mu.Lock()
		assert.Empty(t, m.contents, "else this tests nothing")
		m.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.Equal(t, 2, m.resets)
		assert.Equal(t, map[conf.Key]string{document("a"): "1"}, m.contents)
		assert.Equal(t, at, m.last().Position)
	})
}

// A server that started from its replica, while its storage fails, tells observers what the
// replica holds.
func TestObserve_FromReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, local := memstore.New(), memstore.New()
		srv := servertest.Start(t, store, diamond.WithReplica(local))
		for i := range 40 {
			putBy(t, systemDoor(srv), document(fmt.Sprintf("%02d", i)), fmt.Sprint(i))
		}
		time.Sleep(time.Minute) // a replica that was never made holds nothing, and Close does not make it
		require.NoError(t, srv.Close())
		sick := troubledBy(store)
		sick.fail(conf.Errorf(conf.ErrUnavailable, "no"), "scan", "read", "changes")
		srv = servertest.Start(t, sick, diamond.WithReplica(local))
		var m mirrored
		defer systemDoor(srv).Observe(m.observe)()
		require.Len(t, m.seen, 1)
		assert.Len(t, m.contents, 40)
		assert.Equal(t, "39", m.contents[document("39")])
	})
}

// A change of a system key that is served while the contents of the present state are being
// read for a new observer is not lost, however often that happens.
func TestObserve_ChangeDuringTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		first := servertest.Start(t, store)
		for i := range 40 {
			putBy(t, systemDoor(first), document(fmt.Sprintf("%02d", i)), "old")
		}
		sick := troubledBy(store)
		srv := servertest.Start(t, sick)
		door := systemDoor(srv)
		var reads atomic.Int32
		sick.set(func(op string) error {
			if op == "scan" && reads.Add(1) <= 3 { // after that the feed waits for the observer
				putBy(t, door, document("00"), fmt.Sprint("new ", reads.Load()))
			}
			return nil
		}, nil)
		var m mirrored
		defer door.Observe(m.observe)()
		assert.EqualValues(t, 4, reads.Load())
		require.Len(t, m.seen, 1)
		assert.Equal(t, "new 3", m.contents[document("00")])
		assert.Len(t, m.contents, 40)
		assert.Equal(t, srv.Status().Position, m.last().Position)
	})
}
