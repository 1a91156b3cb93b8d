package diamond

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever sends ever new sets of keys fills the table, which all polls share.
// That must not make each further one cost in the order of all.
func TestKeySetsFullOfMany(t *testing.T) {
	sets := newKeySets(maxSetKeys / 4)
	n := 0
	poll := func() (*keySet, error) {
		keys := make([]Key, 10)
		for i := range keys {
			keys[i] = NewKey("", fmt.Sprintf("%d.%d", n, i))
		}
		n++
		return sets.acquire(HashKeys(keys), keys)
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
	const times = 1000
	start := time.Now()
	for range times {
		_, err := poll()
		require.ErrorIs(t, err, ErrOverloaded)
	}
	assert.Less(t, time.Since(start), time.Second, "all in use")

	for _, set := range held {
		sets.release(set)
	}
	start = time.Now()
	for range times {
		set, err := poll()
		require.NoError(t, err)
		sets.release(set)
	}
	assert.Less(t, time.Since(start), time.Second, "none in use")
	assert.Equal(t, len(sets.byHash), sets.unused)
}
