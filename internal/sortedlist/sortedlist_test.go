package sortedlist

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func numbers(from, to, step int) []int {
	var ns []int
	for n := from; n < to; n += step {
		ns = append(ns, n)
	}
	return ns
}

func TestListBehavesAsASortedSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 3 * chunkSize
		l := Collect(cmp.Compare[int], numbers(0, rapid.IntRange(0, most).Draw(t, "initial"), 1))
		model := make(map[int]bool)
		for n := range l.Snapshot().All() {
			model[n] = true
		}
		some := func(t *rapid.T, in bool) (ns []int) { // a run of those that are in the list, or are not
			from, step := rapid.IntRange(0, most).Draw(t, "from"), rapid.IntRange(1, 50).Draw(t, "step")
			for _, n := range numbers(from, from+rapid.IntRange(0, most).Draw(t, "span"), step) {
				if model[n] == in {
					ns = append(ns, n)
				}
			}
			return rapid.Permutation(ns).Draw(t, "items")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				fresh := some(t, false)
				for _, n := range fresh {
					model[n] = true
				}
				l.Add(fresh)
			},
			"remove": func(t *rapid.T) {
				gone := some(t, true)
				for _, n := range gone {
					delete(model, n)
				}
				l.Remove(gone)
			},
			"": func(t *rapid.T) {
				want := slices.Sorted(maps.Keys(model))
				s := l.Snapshot()
				require.Equal(t, want, slices.Collect(s.All()))
				require.Equal(t, len(want), s.Len())
				at := rapid.IntRange(-1, most).Draw(t, "at")
				i, _ := slices.BinarySearch(want, at)
				got := slices.Collect(s.From(func(n int) bool { return n < at }))
				require.True(t, slices.Equal(want[i:], got))
				for _, chunk := range s {
					require.NotEmpty(t, chunk)
					require.LessOrEqual(t, len(chunk), 2*chunkSize)
				}
			},
		})
	})
}

// Whatever is added and removed, the list does not fall to pieces.
func TestChunksStayLarge(t *testing.T) {
	l := Collect(cmp.Compare[int], numbers(0, 100*chunkSize, 1))
	for n := range 100 * chunkSize {
		if n%100 != 0 {
			l.Remove([]int{n})
		}
	}
	s := l.Snapshot()
	assert.Equal(t, chunkSize, s.Len())
	assert.LessOrEqual(t, len(s), 10)
}

func TestWhatIsNotInTheListIsNotRemoved(t *testing.T) {
	l := Collect(cmp.Compare[int], numbers(0, 10*chunkSize, 2))
	l.Remove(numbers(-1, 10*chunkSize+2, 2))
	assert.Equal(t, numbers(0, 10*chunkSize, 2), slices.Collect(l.Snapshot().All()))
}

// A change looks at few of the items that it leaves where they are.
func TestAChangeComparesFewItems(t *testing.T) {
	compared := 0
	l := Collect(func(a, b int) int { compared++; return cmp.Compare(a, b) }, numbers(0, 2000*chunkSize, 2))
	items := numbers(2*chunkSize-1, 2000*chunkSize, 2*chunkSize) // one at the end of each chunk
	compared = 0
	l.Add(slices.Clone(items))
	assert.Less(t, compared, 50*len(items))
	compared = 0
	l.Remove(items)
	assert.Less(t, compared, 50*len(items))
}

func TestAWalkSeesOneMoment(t *testing.T) {
	l := Collect(cmp.Compare[int], numbers(0, 10_000, 2))
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default: // all odd numbers or none
				l.Add(numbers(1, 10_000, 2))
				l.Remove(numbers(1, 10_000, 2))
			}
		}
	})
	for range 200 {
		n := l.Snapshot().Len()
		require.Contains(t, []int{5000, 10_000}, n)
		s := l.Snapshot()
		require.Equal(t, len(slices.Collect(s.All())), s.Len())
	}
	close(stop)
	writing.Wait()
}

func BenchmarkAdd1000OfAMillion(b *testing.B) {
	l := Collect(cmp.Compare[int], numbers(0, 2_000_000, 2))
	items := numbers(1, 2_000_000, 2000)
	b.ReportAllocs()
	for b.Loop() {
		l.Add(items)
		l.Remove(items)
	}
}
