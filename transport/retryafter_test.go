package transport_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// Several servers cannot answer. The caller is sent away until the first of
// them may be asked again, and not at all when one may be at once.
func TestBalance_TheShortestRetryAfterCounts(t *testing.T) {
	overloaded := func(retry time.Duration) error {
		return &conf.Error{Err: conf.ErrOverloaded, RetryAfter: retry, Remote: true}
	}
	for name, test := range map[string]struct{ a, b, want time.Duration }{
		"both":  {300 * time.Second, 10 * time.Second, 10 * time.Second},
		"one":   {300 * time.Second, 0, 0},
		"other": {0, 300 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, "a", "b")
				b := c.balance(transport.Static("a", "b"))
				c.faulty["a"].Fail(overloaded(test.a))
				c.faulty["b"].Fail(overloaded(test.b))
				for _, ask := range []func() error{
					func() error { return get(b) },
					func() error { _, err := put(b, ""); return err },
				} {
					err := ask()
					require.ErrorIs(t, err, conf.ErrOverloaded)
					assert.Equal(t, test.want, said(err).RetryAfter)
				}
			})
		})
	}
}

// One server is left alone for ten minutes, and the other one fails for a
// moment: nobody waits for the first.
func TestBalance_AServerThatIsLeftAloneHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		c.faulty["a"].Fail(&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 10 * time.Second, Remote: true})
		for range 20 {
			require.NoError(t, get(b))
			time.Sleep(10 * time.Millisecond)
		}
		c.faulty["b"].Fail(&conf.Error{Err: conf.ErrUnavailable, RetryAfter: 5 * time.Minute, Remote: true})
		err := get(b)
		require.Error(t, err)
		assert.LessOrEqual(t, said(err).RetryAfter, 11*time.Second, "the first may be asked sooner")
		c.faulty["b"].Heal()
	})
}

// What is known of servers outlives the list that they are in: a new one with
// the same servers does not send calls to one that has asked to be left alone.
func TestBalance_AResolveForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		r := &resolver{addrs: []string{"a"}}
		b := c.balance(r, transport.WithResolveInterval(time.Second))
		c.faulty["a"].Fail(&conf.Error{Err: conf.ErrOverloaded, RetryAfter: time.Minute, Remote: true})
		require.ErrorIs(t, get(b), conf.ErrOverloaded)
		made, _ := c.faulty["a"].Calls()
		resolves := r.count()
		time.Sleep(50 * time.Second)
		require.Greater(t, r.count(), resolves+10)
		require.ErrorIs(t, get(b), conf.ErrOverloaded)
		again, _ := c.faulty["a"].Calls()
		assert.Equal(t, made, again, "it is left alone")
		assert.EqualValues(t, 1, c.dials.Load(), "and its transport is kept")

		// One that cools down is asked last still.
		c2 := newCluster(t, "a", "b")
		r = &resolver{addrs: []string{"a", "b"}}
		b = c2.balance(r, transport.WithResolveInterval(10*time.Millisecond))
		for range 10 {
			require.NoError(t, get(b))
			since := map[string]int{}
			c2.asked(since)
			require.NoError(t, get(b))
			was := c2.asked(since)[0]
			c2.faulty[was].Fail(conf.Errorf(conf.ErrUnavailable, "down"))
			require.NoError(t, get(b))
			c2.faulty[was].Heal()
			time.Sleep(100 * time.Millisecond)
			c2.asked(since)
			require.NoError(t, get(b))
			assert.NotContains(t, c2.asked(since), was)
			time.Sleep(5 * time.Second)
		}
	})
}

// said returns err as one of this module's.
func said(err error) *conf.Error {
	e, _ := errors.AsType[*conf.Error](err)
	return e
}
