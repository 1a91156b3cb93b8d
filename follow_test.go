package diamond_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// exchange leads to a server that can be replaced by another one, and calls hooks before
// it asks that.
type exchange struct {
	mu       sync.Mutex
	server   diamond.Transport // guarded by mu
	onList   func(*conf.ListRequest) (*conf.ListResponse, error)
	onChange func(*conf.ChangesRequest) (*conf.ChangesResponse, error)
	diamond.Transport
}

func (x *exchange) to(server diamond.Transport) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.server = server
}

// hooks sets what is called before a request passes. An answer or an error is the outcome.
func (x *exchange) hooks(list func(*conf.ListRequest) (*conf.ListResponse, error), change func(*conf.ChangesRequest) (*conf.ChangesResponse, error)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.onList, x.onChange = list, change
}

func (x *exchange) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	x.mu.Lock()
	server, hook := x.server, x.onList
	x.mu.Unlock()
	if hook != nil {
		if resp, err := hook(req); resp != nil || err != nil {
			return resp, err
		}
	}
	return server.List(ctx, req)
}

func (x *exchange) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	x.mu.Lock()
	server, hook := x.server, x.onChange
	x.mu.Unlock()
	if hook != nil {
		if resp, err := hook(req); resp != nil || err != nil {
			return resp, err
		}
	}
	return server.Changes(ctx, req)
}

func (x *exchange) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	x.mu.Lock()
	server := x.server
	x.mu.Unlock()
	return server.Commit(ctx, req)
}

// group is a server with a client that follows a group of it.
type group struct {
	t        *testing.T
	store    *memstore.Store
	server   *servertest.Served
	exchange *exchange
	network  *transporttest.Faulty
	client   diamond.Client
}

func newGroup(t *testing.T, opts ...memstore.Option) *group {
	g := &group{t: t, store: memstore.New(opts...), exchange: &exchange{}}
	g.server = servertest.Serve(t, g.store)
	g.exchange.to(g.server)
	g.exchange.Transport = g.server // for requests that no Mirror makes
	g.network = transporttest.NewFaulty(g.exchange)
	g.client = clienttest.NewClient(t, g.network)
	return g
}

// followed is the filter of most tests, and others is a group that it does not select.
var followed = diamond.Filter{Group: "g"}

const others = "others"

func inGroup(dataID string) diamond.Key { return diamond.NewKey("g", dataID) }

func (g *group) follow() *diamond.Mirror {
	g.t.Helper()
	m, err := diamond.Follow(g.t.Context(), g.client, followed)
	require.NoError(g.t, err)
	g.t.Cleanup(m.Close)
	return m
}

// commit commits one set: contents by data id of the group; "-" is a deletion.
func (g *group) commit(contents map[string]string) diamond.Position {
	g.t.Helper()
	set := conf.ChangeSet{}
	for _, id := range slices.Sorted(maps.Keys(contents)) {
		if contents[id] == "-" {
			set.Deletes = append(set.Deletes, conf.Delete{Key: inGroup(id)})
		} else {
			set.Drafts = append(set.Drafts, conf.Draft{Key: inGroup(id), Content: contents[id]})
		}
	}
	at, err := g.server.CommitSet(set)
	require.NoError(g.t, err)
	return at
}

func (g *group) publish(dataID, content string) diamond.Position {
	g.t.Helper()
	return g.commit(map[string]string{dataID: content})
}

// elsewhere publishes something that the filter does not select.
func (g *group) elsewhere() diamond.Position {
	g.t.Helper()
	at, err := g.server.CommitSet(conf.ChangeSet{Drafts: []conf.Draft{{Key: diamond.NewKey(others, "k"), Content: time.Now().String()}}})
	require.NoError(g.t, err)
	return at
}

// away has no server answer any more, also not the request under way.
func (g *group) away() {
	g.network.Fail(clienttest.ErrDown)
	time.Sleep(30 * time.Second) // fake time: in the bubble of its test
}

// contents returns what a map of entries has, by data id.
func contents(entries map[diamond.Key]diamond.Config) map[string]string {
	out := map[string]string{}
	for key, config := range entries {
		out[key.DataID] = config.Content
	}
	return out
}

// loaded returns the contents that m has, by data id.
func loaded(m *diamond.Mirror) map[string]string {
	entries, _ := m.Load()
	return contents(entries)
}

// updates records the Updates of a callback, and keeps the state that they lead to.
type updates struct {
	t     assert.TestingT
	mu    sync.Mutex
	all   []diamond.Update
	state map[diamond.Key]diamond.Config
}

func observe(t assert.TestingT, m *diamond.Mirror) (u *updates, stop func()) {
	u = &updates{t: t, state: map[diamond.Key]diamond.Config{}}
	return u, m.OnChange(u.add)
}

func (u *updates) add(update diamond.Update) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.all); n > 0 {
		assert.Greater(u.t, update.Revision, u.all[n-1].Revision)
		assert.NotZero(u.t, len(update.Changed)+len(update.Deleted), "an Update without a change")
	}
	assert.True(u.t, slices.IsSortedFunc(update.Deleted, diamond.Key.Compare))
	for _, key := range update.Deleted {
		_, existed := u.state[key]
		_, changed := update.Changed[key]
		if !existed || changed {
			assert.Fail(u.t, "a deletion of what does not exist, or exists afterwards", "%s", key)
		}
		delete(u.state, key)
	}
	maps.Copy(u.state, update.Changed)
	u.all = append(u.all, update)
}

// take returns the Updates since the last call, each as a line of text.
func (u *updates) take() (lines []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, update := range u.all {
		var line strings.Builder
		fmt.Fprintf(&line, "%d:", update.Revision)
		got := contents(update.Changed)
		for _, id := range slices.Sorted(maps.Keys(got)) {
			line.WriteString(" " + id + "=" + got[id])
		}
		for _, key := range update.Deleted {
			line.WriteString(" -" + key.DataID)
		}
		if update.Resync {
			line.WriteString(" resync")
		}
		lines = append(lines, line.String())
	}
	u.all = nil
	return lines
}

func TestFollow_PresentStateAndEachChangeSetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a.json", "1")
		g.commit(map[string]string{"b": "1", "c": "1"})
		g.elsewhere()
		m := g.follow()
		entries, at := m.Load()
		assert.Equal(t, map[string]string{"a.json": "1", "b": "1", "c": "1"}, contents(entries))
		head, err := g.client.Head(t.Context())
		require.NoError(t, err)
		assert.Equal(t, head, at)
		a := entries[inGroup("a.json")]
		assert.Equal(t, inGroup("a.json"), a.Key)
		assert.Equal(t, diamond.SourceServer, a.Source)
		assert.Equal(t, time.Now(), a.Confirmed)
		assert.EqualValues(t, 1, a.Revision)
		assert.Equal(t, "json", a.Type)

		u, stop := observe(t, m)
		synctest.Wait()
		assert.Equal(t, []string{"3: a.json=1 b=1 c=1"}, u.take(), "the present state first")

		g.publish("a.json", "2")
		g.commit(map[string]string{"b": "-", "c": "2", "d": "1"})
		clienttest.Settle()
		assert.Equal(t, []string{"4: a.json=2", "5: c=2 d=1 -b"}, u.take(), "one Update a set")
		assert.Equal(t, map[string]string{"a.json": "2", "c": "2", "d": "1"}, loaded(m))

		g.publish("a.json", "2")
		clienttest.Settle()
		assert.Equal(t, []string{"6: a.json=2"}, u.take(), "an equal content is a change, with a revision of its own")

		elsewhere := g.elsewhere()
		time.Sleep(30 * time.Second)
		assert.Empty(t, u.take(), "nothing that the filter selects")
		_, at = m.Load()
		assert.Equal(t, elsewhere, at, "the position moves all the same")
		require.NoError(t, m.Err())

		stop()
		g.publish("a.json", "3")
		clienttest.Settle()
		assert.Empty(t, u.take(), "stopped")
		assert.Equal(t, "3", loaded(m)["a.json"])
	})
}

func TestFollow_Filters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		keys := []diamond.Key{
			{Namespace: "public", Group: "g", DataID: "a1"}, {Namespace: "public", Group: "g", DataID: "b1"},
			{Namespace: "public", Group: "h", DataID: "a1"}, {Namespace: "other", Group: "g", DataID: "a1"},
		}
		put := func(content string) {
			for _, key := range keys {
				_, err := g.server.CommitSet(conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: content}}})
				require.NoError(t, err)
			}
		}
		for filter, want := range map[diamond.Filter][]diamond.Key{
			{}:                                 {keys[0], keys[1], keys[2]},
			{Group: "g"}:                       {keys[0], keys[1]},
			{Prefix: "a"}:                      {keys[0], keys[2]},
			{Namespace: "other"}:               {keys[3]},
			{Namespace: diamond.AllNamespaces}: keys,
			{Namespace: "*", Group: "g", Prefix: "a"}: {keys[0], keys[3]},
			{Group: "nothing"}:                        nil,
		} {
			put("before")
			m, err := diamond.Follow(t.Context(), g.client, filter)
			require.NoError(t, err)
			for _, content := range []string{"before", "after"} {
				entries, _ := m.Load()
				assert.ElementsMatch(t, want, slices.Collect(maps.Keys(entries)), "%+v", filter)
				for _, config := range entries {
					assert.Equal(t, content, config.Content)
				}
				put("after")
				clienttest.Settle()
			}
			m.Close()
		}
		for _, filter := range []diamond.Filter{{Namespace: "*x"}, {Group: "*"}, {Prefix: "?"}} {
			_, err := diamond.Follow(t.Context(), g.client, filter)
			require.ErrorIs(t, err, diamond.ErrInvalid, "%+v", filter)
		}
		_, err := diamond.Follow(t.Context(), g.client, diamond.Filter{Namespace: "_rights"})
		require.ErrorIs(t, err, diamond.ErrDenied)
	})
}

// A group that does not change starts at once beside another one that always does. A watch
// whose first request waits for a change would take 25 s.
func TestFollow_StartsBesideABusyGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) { g.elsewhere(); return nil, nil }, nil)
		began := time.Now()
		m := g.follow()
		assert.Less(t, time.Since(began), time.Second)
		assert.Equal(t, map[string]string{"a": "1"}, loaded(m))
	})
}

// What changes between and after the pages of the list is there: each page has a position
// of its own.
func TestFollow_ChangesDuringTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		set := map[string]string{}
		for i := range 2500 { // three pages
			set[fmt.Sprintf("k%04d", i)] = "1"
			if len(set) == 500 {
				g.commit(set)
				clear(set)
			}
		}
		page := 0
		g.exchange.hooks(func(req *conf.ListRequest) (*conf.ListResponse, error) {
			if req.Limit == 1 {
				return nil, nil // Head
			}
			switch page++; page {
			case 2:
				g.commit(map[string]string{
					"k0000": "2", "k0001": "-", // passed already
					"k2000": "2", "k2001": "-", "k2001a": "1", // yet to come
				})
				g.commit(map[string]string{"k0002": "-", "k2002": "-"})
				g.commit(map[string]string{"k0002": "again", "k2002": "again"})
			case 3:
				g.commit(map[string]string{"k0003": "-", "k2001a": "-", "k0500a": "new"})
			}
			return nil, nil
		}, nil)
		m := g.follow()
		require.Equal(t, 3, page)
		got := loaded(m)
		want := map[string]string{}
		for e, err := range g.client.List(t.Context(), conf.ListRequest{Group: "g", Contents: true}) {
			require.NoError(t, err)
			want[e.Key.DataID] = e.Content
		}
		assert.Equal(t, want, got)
		assert.Equal(t, "again", got["k0002"])
		assert.NotContains(t, got, "k2001")
	})
}

// The server that answers the watch is behind the one that answered the list, and catches
// up by something that the filter does not select: the start does not wait for a change.
func TestFollow_StartsWithAServerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		old := g.publish("a", "1")
		caught := time.Now().Add(2 * time.Second)
		lists := 0
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) {
			if lists++; lists == 2 {
				g.elsewhere()
			}
			return nil, nil
		}, func(req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			if time.Now().Before(caught) {
				time.Sleep(req.Wait)
				return &conf.ChangesResponse{Position: old}, nil
			}
			return nil, nil
		})
		began := time.Now()
		g.follow()
		assert.GreaterOrEqual(t, time.Since(began), 2*time.Second)
		assert.Less(t, time.Since(began), 4*time.Second)
	})
}

// Changes of several sets that arrive in one answer are told set by set, and a Load
// between them sees all or none.
func TestFollow_SeveralSetsInOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.commit(map[string]string{"a": "1", "b": "1"})
		m := g.follow()
		u, _ := observe(t, m)
		clienttest.Settle()
		u.take()
		g.away()
		g.publish("a", "-")
		g.publish("a", "2")
		g.publish("c", "1")
		g.commit(map[string]string{"c": "-", "b": "-"})
		g.network.Heal()
		time.Sleep(30 * time.Second)
		assert.Equal(t, []string{"2: -a", "3: a=2", "4: c=1", "5: -b -c"}, u.take())
		assert.Equal(t, map[string]string{"a": "2"}, loaded(m))
	})
}

// A Mirror that was away for longer than history is kept lists its entries again.
func TestFollow_CompactedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, memstore.WithRetention(storage.Retention{Age: time.Minute, Versions: 1, Changes: 1}))
		g.commit(map[string]string{"kept": "1", "changed": "1", "gone": "1", "again": "1"})
		m := g.follow()
		u, _ := observe(t, m)
		clienttest.Settle()
		u.take()
		g.away()
		g.commit(map[string]string{"changed": "2", "gone": "-", "new": "1", "again": "-"})
		g.publish("again", "1")
		time.Sleep(5 * time.Minute)
		last := g.elsewhere()
		require.NoError(t, g.store.Prune(t.Context()))
		assert.Equal(t, "1", loaded(m)["gone"], "the last state stays")
		g.exchange.to(servertest.Start(t, g.store)) // one that has never seen what went
		g.network.Heal()
		time.Sleep(30 * time.Second)
		assert.Equal(t, []string{fmt.Sprintf("%d: again=1 changed=2 new=1 -gone resync", last.Revision)}, u.take())
		assert.Equal(t, map[string]string{"kept": "1", "changed": "2", "again": "1", "new": "1"}, loaded(m))
		require.NoError(t, m.Err())
	})
}

// A store that has lost history: a Mirror equals it, also where Get keeps a lost value.
func TestFollow_StoreThatLostHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.commit(map[string]string{"a": "1", "b": "1"})
		m := g.follow()
		u, _ := observe(t, m)
		g.commit(map[string]string{"a": "lost", "lost": "lost"})
		_, err := g.client.Get(t.Context(), inGroup("lost"))
		require.NoError(t, err)
		clienttest.Settle()
		assert.Equal(t, []string{"1: a=1 b=1", "2: a=lost lost=lost"}, u.take())
		_, was := m.Load()

		restored := servertest.WithoutTail(t, g.store, 1)
		_, err = restored.Fork(t.Context(), was)
		require.NoError(t, err)
		server := servertest.Serve(t, restored)
		g.exchange.to(server)
		require.NoError(t, g.server.Close())
		time.Sleep(30 * time.Second)
		assert.Equal(t, []string{"3: a=1 -lost resync"}, u.take())
		entries, at := m.Load()
		assert.Equal(t, map[string]string{"a": "1", "b": "1"}, contents(entries))
		assert.EqualValues(t, 1, entries[inGroup("a")].Revision)
		assert.Equal(t, was.Epoch.Generation+1, at.Epoch.Generation)

		g.server = server
		g.publish("a", "2")
		clienttest.Settle()
		assert.Equal(t, []string{"4: a=2"}, u.take(), "it goes on")
		require.NoError(t, m.Err())
	})
}

// A fork that loses nothing is no change.
func TestFollow_ForkWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		m := g.follow()
		u, _ := observe(t, m)
		_, err := g.store.Fork(t.Context(), diamond.Position{})
		require.NoError(t, err)
		time.Sleep(30 * time.Second)
		assert.Equal(t, []string{"1: a=1"}, u.take())
		_, at := m.Load()
		assert.EqualValues(t, 2, at.Revision)
		g.publish("a", "2")
		clienttest.Settle()
		assert.Equal(t, []string{"3: a=2"}, u.take())
	})
}

// Load's map is that of its moment, and the state that a callback applies is a state that
// Load had.
func TestFollow_LoadedMapsDoNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.commit(map[string]string{"a": "0", "b": "0"})
		m := g.follow()
		u, _ := observe(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		var reading sync.WaitGroup
		for range 4 {
			reading.Go(func() {
				for ctx.Err() == nil {
					entries, at := m.Load()
					before := contents(entries)
					assert.Equal(t, before["a"], before["b"], "published together")
					assert.LessOrEqual(t, entries[inGroup("a")].Revision, at.Revision)
					time.Sleep(time.Millisecond)
					assert.Equal(t, before, contents(entries))
				}
			})
		}
		for i := range 200 {
			n := fmt.Sprint(i + 1)
			g.commit(map[string]string{"a": n, "b": n, "k" + n: n})
			time.Sleep(time.Duration(i%3) * time.Millisecond)
		}
		cancel()
		reading.Wait()
		clienttest.Settle()
		entries, _ := m.Load()
		assert.Len(t, entries, 202)
		u.mu.Lock()
		defer u.mu.Unlock()
		assert.Equal(t, entries, u.state)
	})
}

// The logger of the client is found also below what wraps the client.
type wrapping struct{ diamond.Client }

func TestFollow_PanicsAreLoggedAndCallbacksGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "secret")
		var log clienttest.Logs
		client := wrapping{clienttest.NewClient(t, g.exchange, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))}
		m, err := diamond.Follow(t.Context(), client, followed)
		require.NoError(t, err)
		defer m.Close()
		calls := 0
		m.OnChange(func(u diamond.Update) {
			if calls++; calls != 2 {
				panic(u.Changed)
			}
		})
		g.publish("a", "secret 2")
		g.publish("a", "secret 3")
		clienttest.Settle()
		assert.Equal(t, 3, calls)
		assert.Equal(t, 2, strings.Count(log.String(), "a callback panicked"))
		assert.Contains(t, log.String(), "follow_test.go", "where")
		assert.NotContains(t, log.String(), "secret")
	})
}
