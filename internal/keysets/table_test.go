package keysets

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/waitset"
)

// name is a key.
type name string

func (n name) Compare(o name) int { return cmp.Compare(n, o) }

type (
	table = Table[[32]byte, name, int]
	set   = Set[[32]byte, name, int]
)

var errFull = errors.New("full")

func newTable(limit, perSource int64) *table {
	return New[[32]byte, name, int](waitset.New[name](), limit, perSource, func(int64, int64) error { return errFull })
}

func hashOf(keys []name) [32]byte {
	var all strings.Builder
	for _, k := range keys {
		all.WriteString(string(k) + " ")
	}
	return sha256.Sum256([]byte(all.String()))
}

func TestKeySetsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sets := newTable(20, 20)
		acquire := func(prefix string, n int) (*set, error) {
			keys := make([]name, n)
			for i := range keys {
				keys[i] = name(fmt.Sprint(prefix, i))
			}
			time.Sleep(time.Second)
			return sets.Acquire(hashOf(keys), keys, nil, "host")
		}
		old, err := acquire("old", 4)
		require.NoError(t, err)
		sets.Release(old)
		newer, err := acquire("newer", 4)
		require.NoError(t, err)
		sets.Release(newer)
		used, err := acquire("used", 2)
		require.NoError(t, err)

		_, err = acquire("more", 3)
		require.NoError(t, err)
		assert.Nil(t, sets.find(old.hash), "the longest idle goes")
		assert.NotNil(t, sets.find(newer.hash), "and no more than must")
		_, err = acquire("much", 8)
		require.ErrorIs(t, err, errFull, "those in use stay")
		assert.LessOrEqual(t, sets.Used(), int64(10))

		again, err := acquire("used", 2)
		require.NoError(t, err)
		assert.Same(t, used, again)
		assert.True(t, sets.Shared(used))
		sets.Release(used)
		assert.False(t, sets.Shared(used))
		time.Sleep(time.Hour)
		sets.Expire()
		assert.NotNil(t, sets.find(used.hash), "it has been acquired twice")
		sets.Release(again)
		sets.Release(again)
		time.Sleep(time.Hour)
		sets.Expire()
		assert.Nil(t, sets.find(used.hash))
	})
}

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
	sets := newTable(100, 100)
	keys := []name{"a", "b"}
	fresh := func() *set { return &set{hash: hashOf(keys), source: "host", Keys: keys, refs: 1} }
	first, err := sets.add(fresh())
	require.NoError(t, err)
	second, err := sets.add(fresh()) // whose poll did not find it
	require.NoError(t, err)
	require.Same(t, first, second)
	assert.EqualValues(t, 2, first.refs)
	assert.EqualValues(t, 2, sets.Used())
	assert.EqualValues(t, 2, sets.total.Held("host"))
	sets.Release(first)
	assert.Zero(t, sets.unused.Len(), "the other still polls it")
	sets.Release(second)
	assert.Equal(t, 1, sets.unused.Len())
}

// Denied keys are a part of the set and count, but nobody waits for them.
func TestDeniedKeysCount(t *testing.T) {
	waiters := waitset.New[name]()
	sets := New[[32]byte, name, int](waiters, 10, 10, func(int64, int64) error { return errFull })
	s, err := sets.Acquire([32]byte{1}, []name{"b", "a", "b"}, []name{"c"}, "host")
	require.NoError(t, err)
	assert.Equal(t, []name{"a", "b"}, s.Keys)
	assert.EqualValues(t, 3, sets.Used())
	assert.True(t, s.Denies("c"))
	assert.False(t, s.Denies("a"))
	woken := 0
	s.Group.Wait(func() { woken++ })
	waiters.Wake(func(yield func(name) bool) { yield("c") })
	assert.Zero(t, woken)
	waiters.Wake(func(yield func(name) bool) { yield("a") })
	assert.Equal(t, 1, woken)
}

// Shared answers are let go, lest they hold contents for ever.
func TestAnswersAreLetGo(t *testing.T) {
	sets := newTable(10, 10)
	s, err := sets.Acquire([32]byte{1}, []name{"a"}, nil, "host")
	require.NoError(t, err)
	s.Answer.Store(new(int))
	sets.Expire()
	assert.Nil(t, s.Answer.Load())
}

// costOfKeySets returns how long 200 polls with new sets take where sets with
// limit keys together are known, some of them idle: the shortest of some times,
// as the machine may be busy with something else.
func costOfKeySets(t *testing.T, limit int, idle func(sets int) int) time.Duration {
	sets := newTable(int64(limit), int64(limit))
	n := 0
	poll := func() (*set, error) {
		keys := make([]name, 10)
		for i := range keys {
			keys[i] = name(fmt.Sprintf("%d.%d", n, i))
		}
		n++
		return sets.Acquire(hashOf(keys), keys, nil, "host")
	}
	var held []*set
	for {
		s, err := poll()
		if err != nil {
			require.ErrorIs(t, err, errFull)
			break
		}
		held = append(held, s)
	}
	unused := idle(len(held))
	for _, s := range held[:unused] {
		sets.Release(s)
	}
	best := time.Hour
	for range 7 {
		start := time.Now()
		for range 200 {
			s, err := poll()
			if unused == 0 {
				require.ErrorIs(t, err, errFull)
				continue
			}
			require.NoError(t, err)
			sets.Release(s)
		}
		best = min(best, time.Since(start))
	}
	assert.Equal(t, unused, sets.unused.Len())
	assert.Len(t, sets.byHash, len(held))
	return best
}
