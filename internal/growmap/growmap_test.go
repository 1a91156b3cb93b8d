package growmap

import (
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMapBehavesAsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, model := New[int, int](), make(map[int]int)
		key := rapid.IntRange(0, 40)
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				k, v := key.Draw(t, "k"), rapid.Int().Draw(t, "v")
				m.Store(k, v)
				model[k] = v
			},
			"load": func(t *rapid.T) {
				k := key.Draw(t, "k")
				want, has := model[k]
				got, ok := m.Load(k)
				require.Equal(t, has, ok)
				require.Equal(t, want, got)
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "k")
				m.Delete(k)
				delete(model, k)
			},
			"all": func(t *rapid.T) { require.Equal(t, model, maps.Collect(m.All())) },
			"":    func(t *rapid.T) { require.Equal(t, len(model), m.Len()) },
		})
	})
}

func TestConcurrentUse(t *testing.T) {
	m := New[int, int]()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				m.Store(g*2000+i, i)
				if v, ok := m.Load(g*2000 + i/2); assert.True(t, ok) {
					assert.Equal(t, i/2, v)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 8000, m.Len())
}

func TestReadsSettle(t *testing.T) {
	m := New[int, int]()
	for i := range 1000 {
		m.Store(i, i)
	}
	for i := range 1000 {
		m.Load(i)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	assert.Empty(t, m.recent, "all reads are lock-free by now")
}

func TestDeleteFunc(t *testing.T) {
	m := New[int, int]()
	for i := range 10 {
		m.Store(i, i)
	}
	m.DeleteFunc(func(key, _ int) bool { return key%2 == 0 })
	assert.Equal(t, 5, m.Len())
	_, ok := m.Load(4)
	assert.False(t, ok)
	_, ok = m.Load(5)
	assert.True(t, ok)
	m.Store(4, 4)
	_, ok = m.Load(4)
	assert.True(t, ok)
}
