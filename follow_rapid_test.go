package diamond_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// history is what was committed: the state of the group after each revision.
type history struct {
	mu     sync.Mutex
	states map[int64]map[string]string
}

// at returns the state at a revision, by data id.
func (h *history) at(revision int64) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ; revision > 0; revision-- {
		if state, ok := h.states[revision]; ok {
			return state
		}
	}
	return map[string]string{}
}

func (h *history) add(revision int64, state map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states[revision] = state
}

// step is one thing that happens while a Mirror is followed.
type step struct {
	kind int // what happens; see [world.do]
	seed uint64
	wait time.Duration // afterwards
}

func steps() *rapid.Generator[step] {
	return rapid.Custom(func(t *rapid.T) step {
		return step{
			kind: rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "kind"),
			seed: rapid.Uint64().Draw(t, "seed"),
			wait: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 100, 3_000, 30_000}).Draw(t, "ms")) * time.Millisecond,
		}
	})
}

// world is two servers on one storage, which a client uses by turns.
type world struct {
	*group
	history history
	servers [2]*servertest.Served
	random  *rand.Rand    // for one at a time
	alone   chan struct{} // holds the one who commits; who waits for it lets fake time pass
}

func newWorld(g *group, seed uint64) *world {
	return &world{
		group: g, history: history{states: map[int64]map[string]string{}},
		random: rand.New(rand.NewPCG(seed, 0)), alone: make(chan struct{}, 1),
	}
}

// act calls f while nobody else commits or draws a random number.
func (w *world) act(f func()) {
	w.alone <- struct{}{}
	defer func() { <-w.alone }()
	f()
}

// commit commits a random set of keys that the filter selects, and of others. Only [world.act]
// may call it.
func (w *world) commit() {
	head, err := w.servers[0].List(w.t.Context(), &conf.ListRequest{Limit: 1})
	require.NoError(w.t, err)
	state := maps.Clone(w.history.at(head.Position.Revision))
	set := conf.ChangeSet{}
	for _, n := range w.random.Perm(9)[:1+w.random.IntN(5)] {
		id := fmt.Sprint("k", n)
		_, exists := state[id]
		switch {
		case n > 6:
			set.Drafts = append(set.Drafts, conf.Draft{Key: diamond.NewKey(others, id), Content: fmt.Sprint(w.random.Int())})
		case exists && w.random.IntN(3) == 0:
			set.Deletes = append(set.Deletes, conf.Delete{Key: inGroup(id)})
			delete(state, id)
		default:
			content := fmt.Sprint(w.random.IntN(5)) // sometimes the same again
			set.Drafts = append(set.Drafts, conf.Draft{Key: inGroup(id), Content: content})
			state[id] = content
		}
	}
	at, err := w.servers[0].CommitSet(set)
	require.NoError(w.t, err)
	w.history.add(at.Revision, state)
}

func (w *world) do(s step) {
	w.act(func() { w.random = rand.New(rand.NewPCG(s.seed, 0)) })
	switch s.kind {
	case 0:
		w.act(func() {
			for range 1 + w.random.IntN(4) {
				w.commit()
			}
		})
	case 1:
		w.exchange.to(w.servers[s.seed%2])
	case 2:
		w.network.Fail(clienttest.ErrDown)
	case 3:
		w.network.Partition()
	case 4:
		w.network.Heal()
	case 5: // the server drains and another one takes its place
		w.servers[1].Drain()
		w.servers[1] = servertest.Start(w.t, w.store)
		w.exchange.to(w.servers[1])
	case 6:
		_, err := w.store.Fork(w.t.Context(), diamond.Position{})
		require.NoError(w.t, err)
		time.Sleep(time.Second) // fake time: in the bubble of its test
	case 7: // commits while the entries are listed
		w.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) {
			w.act(func() {
				if w.random.IntN(3) == 0 {
					w.commit()
				}
			})
			return nil, nil
		}, nil)
	}
	time.Sleep(s.wait) // fake time: in the bubble of its test
}

// Whatever happens, the entries that Load returns are those of the store at the position
// that it returns, and the Updates of each callback lead to the state that Load has.
func TestFollow_EqualsTheStoreAtItsPosition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(steps(), 1, 30).Draw(rt, "script")
		slow := time.Duration(rapid.SampledFrom([]int{0, 1, 5_000}).Draw(rt, "slow ms")) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, memstore.WithRetention(storage.Retention{Age: time.Second, Versions: 1, Changes: 5}))
			w := newWorld(g, 0)
			w.servers = [2]*servertest.Served{g.server, servertest.Start(t, g.store)}
			before := len(script) / 3
			for _, s := range script[:before] {
				w.do(s)
			}
			w.network.Heal()
			m := w.follow()
			quick, _ := observe(t, m)
			late := &updates{t: t, state: map[diamond.Key]diamond.Config{}}
			m.OnChange(func(u diamond.Update) { time.Sleep(slow); late.add(u) })
			for _, s := range script[before:] {
				w.do(s)
				entries, at := m.Load()
				assert.Equal(t, w.history.at(at.Revision), contents(entries), "at %d", at.Revision)
			}
			w.network.Heal()
			w.exchange.hooks(nil, nil)
			time.Sleep(10 * time.Minute)
			require.NoError(t, m.Err())
			head, err := w.client.Head(t.Context())
			require.NoError(t, err)
			entries, at := m.Load()
			assert.Equal(t, head, at)
			assert.Equal(t, w.history.at(head.Revision), contents(entries))
			for _, u := range []*updates{quick, late} {
				u.mu.Lock()
				assert.Equal(t, contents(entries), contents(u.state))
				for key, config := range entries {
					assert.Equal(t, config.Revision, u.state[key].Revision)
				}
				u.mu.Unlock()
			}
			m.Close()
		})
	})
}

// Updates that are merged say the same as one after the other.
func TestMirror_MergedUpdates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sets := rapid.SliceOfN(rapid.SliceOfNDistinct(rapid.IntRange(0, 599), 1, 600, rapid.ID), 1, 12).Draw(rt, "sets")
		blockFor := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 5).Draw(rt, "blocked")
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t)
			g.commit(map[string]string{"k1": "0", "k2": "0", "k3": "0"})
			m := g.follow()
			u := &updates{t: t, state: map[diamond.Key]diamond.Config{}}
			proceed := make(chan struct{}, len(sets))
			m.OnChange(func(update diamond.Update) { u.add(update); <-proceed })
			exists := map[string]bool{"k1": true, "k2": true, "k3": true}
			for i, set := range sets {
				changes := map[string]string{}
				for _, n := range set {
					id := fmt.Sprint("k", n)
					if changes[id] = fmt.Sprint(i); exists[id] {
						changes[id] = "-"
					}
					exists[id] = !exists[id]
				}
				g.commit(changes)
				synctest.Wait()
				if slices.Contains(blockFor, i%5) {
					proceed <- struct{}{}
				}
			}
			close(proceed)
			clienttest.Settle()
			u.mu.Lock()
			defer u.mu.Unlock()
			entries, _ := m.Load()
			assert.Equal(t, contents(entries), contents(u.state))
			m.Close()
		})
	})
}
