package diamond

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/waitset"
)

// Whoever sends ever new sets of keys fills the table, which all polls share.
// That must not make each further one cost in the order of all.
func TestKeySetsFullOfMany(t *testing.T) {
	for name, idle := range map[string]func(sets int) int{
		"all in use":     func(int) int { return 0 },
		"all but one":    func(int) int { return 1 },
		"none is in use": func(sets int) int { return sets },
	} {
		few, many := costOfKeySets(t, 100, idle), costOfKeySets(t, 1<<19, idle)
		t.Logf("%s: %v with few, %v with many", name, few, many)
		assert.Less(t, many, 20*few, name)
	}
}

// Two polls may send the same new set at the same time. It is known once, and its
// keys count once.
func TestKeySetSentTwiceAtOnceCountsOnce(t *testing.T) {
	sets := newKeySets(waitset.New[Key](), 100, 100)
	keys := []Key{NewKey("", "a"), NewKey("", "b")}
	fresh := func() *keySet { return &keySet{hash: HashKeys(keys), source: "host", keys: keys, refs: 1} }
	first, err := sets.add(fresh())
	require.NoError(t, err)
	second, err := sets.add(fresh()) // whose poll did not find it
	require.NoError(t, err)
	require.Same(t, first, second)
	assert.EqualValues(t, 2, first.refs)
	assert.EqualValues(t, 2, sets.total.Used())
	assert.EqualValues(t, 2, sets.total.Held("host"))
	sets.release(first)
	assert.Zero(t, sets.unused.Len(), "the other still polls it")
	sets.release(second)
	assert.Equal(t, 1, sets.unused.Len())
}

// costOfKeySets returns how long 200 polls with new sets take where sets with
// limit keys together are known, some of them idle: the shortest of some times,
// as the machine may be busy with something else.
func costOfKeySets(t *testing.T, limit int, idle func(sets int) int) time.Duration {
	sets := newKeySets(waitset.New[Key](), int64(limit), int64(limit))
	n := 0
	poll := func() (*keySet, error) {
		keys := make([]Key, 10)
		for i := range keys {
			keys[i] = NewKey("", fmt.Sprintf("%d.%d", n, i))
		}
		n++
		return sets.acquire(HashKeys(keys), keys, nil, "host")
	}
	var held []*keySet
	for {
		set, err := poll()
		if err != nil {
			require.ErrorIs(t, err, ErrOverloaded)
			break
		}
		held = append(held, set)
	}
	unused := idle(len(held))
	for _, set := range held[:unused] {
		sets.release(set)
	}
	best := time.Hour
	for range 7 {
		start := time.Now()
		for range 200 {
			set, err := poll()
			if unused == 0 {
				require.ErrorIs(t, err, ErrOverloaded)
				continue
			}
			require.NoError(t, err)
			sets.release(set)
		}
		best = min(best, time.Since(start))
	}
	assert.Equal(t, unused, sets.unused.Len())
	assert.Len(t, sets.byHash, len(held))
	return best
}
