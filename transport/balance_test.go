package transport_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestConformance_Balancer(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, srv diamond.Server) diamond.Transport {
		b := transport.NewBalancer(transport.Static("only"), func(string) (diamond.Transport, error) { return transporttest.NewFaulty(srv), nil })
		t.Cleanup(b.Close)
		return b
	})
}

func TestBalance_StickyAndRandomStart(t *testing.T) {
	first := map[string]int{}
	for range 60 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			b := c.balance(transport.Static("a", "b", "c"))
			since := map[string]int{}
			require.NoError(t, get(b))
			start := c.asked(since)
			require.Len(t, start, 1)
			for range 5 {
				require.NoError(t, get(b))
			}
			assert.Equal(t, start, c.asked(since), "it stays")
			first[start[0]]++
		})
	}
	assert.Len(t, first, 3, "clients spread: %v", first)
}

func TestBalance_NextOnFailure(t *testing.T) {
	for _, fault := range []error{
		conf.Errorf(conf.ErrUnavailable, "down"), conf.Errorf(conf.ErrOverloaded, "shed"), conf.Errorf(conf.ErrBehind, "behind"), conf.Errorf(conf.ErrClosed, "closed"),
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			b := c.balance(transport.Static("a", "b"))
			since := map[string]int{}
			require.NoError(t, get(b))
			was := c.asked(since)[0]
			c.faulty[was].Fail(fault)
			require.NoError(t, get(b), "the other one answers within the same call")
			assert.Len(t, c.asked(since), 2)
			for range 3 {
				require.NoError(t, get(b))
			}
			assert.Len(t, c.asked(since), 1, "and stays")
			assert.NotContains(t, c.asked(since), was)
		})
	}
}

// What a server has said for good is not asked of the next.
func TestBalance_LastWord(t *testing.T) {
	for _, fault := range []error{conf.ErrNotFound, conf.ErrConflict, conf.ErrInvalid, conf.ErrCompacted, conf.ErrDenied, conf.ErrNoSpace, conf.ErrUnauthenticated} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			b := c.balance(transport.Static("a", "b"))
			for _, f := range c.faulty {
				f.Fail(&conf.Error{Err: fault, Remote: true})
			}
			since := map[string]int{}
			require.ErrorIs(t, get(b), fault)
			assert.Len(t, c.asked(since), 1)
		})
	}
}

func TestBalance_TellingError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "gone", "b"))
		c.faulty["a"].Fail(conf.Errorf(conf.ErrUnavailable, "cannot be asked"))
		c.faulty["b"].Fail(&conf.Error{Err: conf.ErrOverloaded, Remote: true})
		err := get(b)
		assert.ErrorIs(t, err, conf.ErrOverloaded, "what a server said says more than that others could not be asked")
		var e *conf.Error
		require.True(t, errors.As(err, &e))
		assert.True(t, e.Remote)
	})
}

func TestBalance_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		b := c.balance(transport.Static("a"))
		c.faulty["a"].Fail(&conf.Error{Err: conf.ErrOverloaded, Detail: "shed", RetryAfter: 20 * time.Second, Remote: true})
		require.ErrorIs(t, get(b), conf.ErrOverloaded)
		c.faulty["a"].Heal()
		made, _ := c.faulty["a"].Calls()
		err := get(b)
		require.ErrorIs(t, err, conf.ErrOverloaded)
		again, _ := c.faulty["a"].Calls()
		assert.Equal(t, made, again, "it is left alone")
		var e *conf.Error
		require.True(t, errors.As(err, &e))
		assert.GreaterOrEqual(t, e.RetryAfter, 20*time.Second)
		assert.Less(t, e.RetryAfter, 21*time.Second)
		time.Sleep(e.RetryAfter)
		assert.NoError(t, get(b))
	})
}

// A server that fails is tried again at growing, random distances, when there
// is another to ask; when it is the only one, each call tries it.
func TestBalance_CoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		b := c.balance(transport.Static("a"))
		c.faulty["a"].Fail(conf.Errorf(conf.ErrUnavailable, "down"))
		for range 5 {
			require.ErrorIs(t, get(b), conf.ErrUnavailable)
		}
		c.faulty["a"].Heal()
		assert.NoError(t, get(b), "nobody waits for a cool-down when there is no other server")
	})
}

func TestBalance_Draining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)[0]
		c.srv[was].Drain()
		keys := []conf.Key{conf.NewKey("", "k")}
		poll := &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Wait: time.Second}
		res, err := b.Poll(t.Context(), poll)
		require.NoError(t, err)
		assert.True(t, res.Draining)
		c.asked(since)
		res, err = b.Poll(t.Context(), poll)
		require.NoError(t, err)
		assert.False(t, res.Draining, "the next call is for the other server")
		assert.NotContains(t, c.asked(since), was)
	})
}

// A silent server does not use up the time that a call has.
func TestBalance_MuteServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		c.faulty[c.current(b)].Partition()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := b.Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", "k")})
		require.NoError(t, err)
		started := time.Now()
		require.NoError(t, get(b))
		assert.Zero(t, time.Since(started), "and is not asked first again")
	})
}

func TestBalance_MuteAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		b := c.balance(transport.Static("a"))
		c.faulty["a"].Partition()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := b.Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", "k")})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestBalance_Close(t *testing.T) {
	c := newCluster(t, "a")
	b := transport.NewBalancer(transport.Static("a"), c.dial)
	require.NoError(t, get(b))
	b.Close()
	b.Close()
	_, closed := c.closed.Load("a")
	assert.True(t, closed)
	assert.ErrorIs(t, get(b), conf.ErrClosed)
}

func TestBalance_Concurrent(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	r := &resolver{addrs: []string{"a", "b", "c"}}
	b := c.balance(r, transport.WithResolveInterval(time.Millisecond))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				switch (i + j) % 5 {
				case 0:
					c.faulty["a"].Fail(conf.Errorf(conf.ErrUnavailable, "down"))
				case 1:
					c.faulty["a"].Heal()
				case 2:
					r.set(nil, "b", fmt.Sprintf("gone-%d", j), "c")
				default:
					assert.NoError(t, get(b))
				}
			}
		})
	}
	all.Wait()
}
