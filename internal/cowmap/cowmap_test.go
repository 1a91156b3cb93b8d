package cowmap

import (
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type key struct{ a, b, c string }

func TestMapBehavesAsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := rapid.MapOf(rapid.IntRange(0, 50), rapid.Int()).Draw(t, "initial")
		m := Collect(maps.All(model))
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				k, v := rapid.IntRange(0, 50).Draw(t, "k"), rapid.Int().Draw(t, "v")
				m.Store(k, v)
				model[k] = v
			},
			"delete": func(t *rapid.T) {
				k := rapid.IntRange(0, 50).Draw(t, "k")
				_, ok := model[k]
				require.Equal(t, ok, m.Delete(k))
				delete(model, k)
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), m.Len())
				require.Equal(t, model, maps.Collect(m.All()))
				for k := range 51 {
					want, has := model[k]
					got, ok := m.Load(k)
					require.Equal(t, has, ok)
					require.Equal(t, want, got)
				}
			},
		})
	})
}

// Many keys share chains, and parts grow.
func TestManyKeysAreAllThere(t *testing.T) {
	m, model := New[int, int](), make(map[int]int)
	const keys = 50 * shards
	for k := range keys {
		m.Store(k, k)
		model[k] = k
	}
	for k := 0; k < keys; k += 3 {
		m.Store(k, -k)
		model[k] = -k
	}
	for k := 0; k < keys; k += 2 {
		require.True(t, m.Delete(k))
		require.False(t, m.Delete(k))
		delete(model, k)
	}
	for k := range keys {
		want, has := model[k]
		got, ok := m.Load(k)
		require.Equal(t, has, ok)
		require.Equal(t, want, got)
	}
	assert.Equal(t, len(model), m.Len())
	all, n := make(map[int]int), 0
	for k, v := range m.All() {
		all[k] = v
		n++
	}
	assert.Equal(t, n, len(all), "none comes twice")
	assert.Equal(t, model, all)
}

// However many keys there are, a write allocates little.
func TestAWriteCopiesNoMoreThanAChain(t *testing.T) {
	m := New[int, int]()
	const keys = 50 * shards
	for k := range keys {
		m.Store(k, k)
	}
	k := 0
	assert.Less(t, testing.AllocsPerRun(10_000, func() {
		k = (k + 7919) % keys
		m.Store(k, k)
	}), 3.0)
}

func TestAllStopsWhenToldTo(t *testing.T) {
	m := Collect(maps.All(map[int]int{1: 1, 2: 2, 3: 3}))
	n := 0
	for range m.All() {
		n++
		break
	}
	assert.Equal(t, 1, n)
}

// Each key counts up under one writer; readers must never see one go back or
// go missing.
func TestReadersSeeEachKeyMoveForwardOnly(t *testing.T) {
	m := New[int, int]()
	const keys, rounds = 8, 2000
	for k := range keys {
		m.Store(k, 0)
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for k := range keys {
		writers.Go(func() {
			for i := range rounds {
				m.Store(k, i)
				m.Store(1000+k, i)
				m.Delete(1000 + k)
				m.Store(10_000+k*rounds+i, i) // so that parts grow
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			var last [keys]int
			for {
				select {
				case <-stop:
					return
				default:
				}
				for k := range keys {
					v, ok := m.Load(k)
					if !ok || v < last[k] {
						t.Errorf("key %d: %d, %v after %d", k, v, ok, last[k])
						return
					}
					last[k] = v
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	assert.Equal(t, keys+keys*rounds, m.Len())
}

func TestLoadDoesNotAllocate(t *testing.T) {
	m := New[key, *int]()
	k := key{"public", "DEFAULT_GROUP", "app.yaml"}
	m.Store(k, new(int))
	assert.Zero(t, testing.AllocsPerRun(1000, func() { m.Load(k) }))
}

func BenchmarkLoad(b *testing.B) {
	m := New[key, *int]()
	ks := make([]key, 4096)
	for i := range ks {
		ks[i] = key{"public", "DEFAULT_GROUP", "service-" + strconv.Itoa(i) + ".yaml"}
		m.Store(ks[i], new(int))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			m.Load(ks[i%len(ks)])
		}
	})
}

func BenchmarkStoreOfANewKey(b *testing.B) {
	m := New[int, int]()
	for i := range 100_000 {
		m.Store(i, i)
	}
	b.ReportAllocs()
	for i := range b.N {
		m.Store(-1-i%1000, i)
		m.Delete(-1 - i%1000)
	}
}
