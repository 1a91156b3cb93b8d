package budget_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/internal/budget"
)

func TestOneSourceHoldsItsShare(t *testing.T) {
	b := budget.New(100, 30)
	assert.True(t, b.Take("a", 30))
	assert.False(t, b.Take("a", 1), "each has a limit")
	assert.True(t, b.Take("b", 30), "which is not the others'")
	assert.EqualValues(t, 60, b.Used())
	b.Give("a", 10)
	assert.True(t, b.Take("a", 10))
}

// However many are greedy, there is as much left for one more as each of them has.
func TestSomethingIsLeftForOneMore(t *testing.T) {
	b := budget.New(1000, 1000)
	greedy := func(source string) (held int64) {
		for b.Take(source, 1) {
			held++
		}
		return held
	}
	assert.EqualValues(t, 500, greedy("a"))
	assert.EqualValues(t, 250, greedy("b"))
	for _, source := range []string{"c", "d", "e"} {
		assert.Positive(t, greedy(source))
	}
	b.Give("a", 300)
	assert.Greater(t, greedy("f"), int64(100), "what is given back is for all")
	assert.LessOrEqual(t, b.Used(), int64(1000))
}

// A thing that many hold counts once for each of them, and once in all, until the
// last one has given it back.
func TestSharedThingsCountOnce(t *testing.T) {
	b := budget.New(100, 40)
	for _, source := range []string{"a", "a", "b", "c", "d", "e", "f"} {
		assert.True(t, b.TakeShared(source, "thing", 30), source)
	}
	assert.EqualValues(t, 30, b.Used())
	assert.EqualValues(t, 30, b.Held("a"))
	assert.False(t, b.TakeShared("a", "another", 20), "each has a limit")
	assert.False(t, b.Take("a", 20))
	assert.True(t, b.Take("g", 30))
	assert.True(t, b.Take("h", 20))
	assert.False(t, b.TakeShared("i", "another", 20), "less is left")
	assert.False(t, b.TakeShared("g", "thing", 30), "what others hold counts for who holds it too")

	b.GiveShared("a", "thing")
	assert.EqualValues(t, 30, b.Held("a"), "it holds it once more")
	for _, source := range []string{"a", "b", "c", "d", "e"} {
		b.GiveShared(source, "thing")
		assert.Zero(t, b.Held(source))
		assert.EqualValues(t, 80, b.Used())
	}
	b.GiveShared("f", "thing")
	assert.EqualValues(t, 50, b.Used())
}

func TestNothingIsLeftBehind(t *testing.T) {
	b := budget.New(1<<30, 1<<20)
	var all sync.WaitGroup
	for _, source := range []string{"a", "a", "b", "c"} {
		all.Go(func() {
			for range 1000 {
				if b.Take(source, 1000) {
					b.Give(source, 400)
					b.Give(source, 600)
				}
			}
		})
	}
	all.Wait()
	assert.Zero(t, b.Used())
}

func TestSource(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1:1210":            "10.0.0.1",
		"10.0.0.1:9":               "10.0.0.1",
		"[::ffff:10.0.0.1]:1210":   "10.0.0.1",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::9]:2": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":         "fe80::/64",
		"[::1]:1":                  "::/64",
		"pipe":                     "pipe",
		"":                         "",
		"host:1":                   "host:1",
	} {
		assert.Equal(t, want, budget.Source(addr), addr)
	}
}
