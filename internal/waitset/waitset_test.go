package waitset

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWakeCallsTheWaitersOfTheKeysAndNobodyElse(t *testing.T) {
	s := New[string]()
	ab, bc, none := s.Join([]string{"a", "b"}), s.Join([]string{"b", "c"}), s.Join(nil)
	var calls []string
	wait := func(g *Group[string], name string) *Waiter[string] {
		return g.Wait(func() { calls = append(calls, name) })
	}
	wait(ab, "ab1")
	wait(ab, "ab2")
	wait(bc, "bc")
	wait(none, "none")
	require.Equal(t, 4, s.Len())

	assert.Zero(t, s.Wake(slices.Values([]string{"x"})))
	assert.Equal(t, 3, s.Wake(slices.Values([]string{"a", "b", "x"})), "b is in two groups")
	assert.ElementsMatch(t, []string{"ab1", "ab2", "bc"}, calls)
	assert.Zero(t, s.Wake(slices.Values([]string{"a", "b", "c"})), "each is called once")
	assert.Equal(t, 1, none.Wake(), "a group can be woken on its own")
	assert.Zero(t, s.Len())
}

func TestCancelledIsNotCalled(t *testing.T) {
	s := New[int]()
	g := s.Join([]int{1})
	called := 0
	w := g.Wait(func() { called++ })
	assert.True(t, w.Cancel())
	assert.False(t, w.Cancel(), "a second time does nothing")
	assert.Zero(t, s.Wake(slices.Values([]int{1})))
	w = g.Wait(func() { called++ })
	assert.Equal(t, 1, s.WakeAll())
	assert.False(t, w.Cancel(), "it has been called")
	assert.Equal(t, 1, called)
}

func TestLeaveLeavesNothingBehind(t *testing.T) {
	s := New[int]()
	keys := make([]int, 3*joinChunk+1)
	for i := range keys {
		keys[i] = i
	}
	g, other := s.Join(keys), s.Join([]int{7})
	require.Len(t, s.byKey, len(keys))
	g.Leave()
	assert.Len(t, s.byKey, 1)
	assert.Len(t, s.groups, 1)
	other.Leave()
	assert.Empty(t, s.byKey)
	assert.Empty(t, s.groups)
}

// A wait set against a list of who waits for what.
func TestSetBehavesAsAList(t *testing.T) {
	type waiting struct {
		group  int
		waiter *Waiter[int]
		called *int
	}
	rapid.Check(t, func(t *rapid.T) {
		s := New[int]()
		keysOf := rapid.SliceOfN(rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 0, 4, rapid.ID), 1, 4).Draw(t, "groups")
		groups := make([]*Group[int], len(keysOf))
		for i, keys := range keysOf {
			groups[i] = s.Join(keys)
		}
		var model []waiting
		woken := func(gone func(waiting) bool, n int) {
			want := 0
			model = slices.DeleteFunc(model, func(w waiting) bool {
				if !gone(w) {
					require.Zero(t, *w.called)
					return false
				}
				require.Equal(t, 1, *w.called)
				want++
				return true
			})
			require.Equal(t, want, n)
		}
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				g, called := rapid.IntRange(0, len(groups)-1).Draw(t, "group"), new(int)
				model = append(model, waiting{g, groups[g].Wait(func() { *called++ }), called})
			},
			"cancel": func(t *rapid.T) {
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
					require.True(t, model[i].waiter.Cancel())
					model = slices.Delete(model, i, i+1)
				}
			},
			"wake": func(t *rapid.T) {
				keys := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 3).Draw(t, "keys")
				n := s.Wake(slices.Values(keys))
				woken(func(w waiting) bool {
					return slices.ContainsFunc(keys, func(k int) bool { return slices.Contains(keysOf[w.group], k) })
				}, n)
			},
			"wakeAll": func(t *rapid.T) {
				woken(func(waiting) bool { return true }, s.WakeAll())
			},
			"": func(t *rapid.T) { require.Equal(t, len(model), s.Len()) },
		})
	})
}

// Waiters that register, then look, miss no change; those that leave are never called.
func TestNoWakeUpIsLost(t *testing.T) {
	s := New[int]()
	g := s.Join([]int{1})
	const changes, waiters = 2000, 4
	var present atomic.Int64
	var all sync.WaitGroup
	for range waiters {
		all.Go(func() {
			for seen := int64(0); seen < changes; {
				wake := make(chan struct{})
				w := g.Wait(func() { close(wake) })
				if now := present.Load(); now > seen {
					w.Cancel()
					seen = now
					continue
				}
				<-wake // for ever, if it were lost: the test would time out
			}
		})
	}
	for range changes {
		present.Add(1)
		s.Wake(slices.Values([]int{1}))
	}
	all.Wait()
	assert.Zero(t, s.Len())
}

func BenchmarkWakeOf10000(b *testing.B) {
	s := New[int]()
	g := s.Join([]int{1})
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range 10_000 {
			g.Wait(func() {})
		}
		b.StartTimer()
		s.Wake(slices.Values([]int{1}))
	}
}
