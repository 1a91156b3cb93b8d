package transport_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// N2: an empty list, or none, never replaces a good one.
func TestN2_EmptyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		r := &resolver{addrs: []string{"a"}}
		b := c.balance(r, transport.WithResolveInterval(10*time.Second))
		require.NoError(t, get(b))
		r.set(nil)
		time.Sleep(time.Minute)
		require.NoError(t, get(b))
		r.set(errors.New("name server down"), "nonsense")
		time.Sleep(time.Minute)
		require.NoError(t, get(b))
		r.set(nil, "", "")
		time.Sleep(time.Minute)
		require.NoError(t, get(b), "blank addresses are none")
		assert.Greater(t, r.asked, 10)
	})
}

// C1: a list that is empty from the start is an error, and is asked for again.
func TestDefect_C1_EmptyFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		r := &resolver{}
		b := c.balance(r)
		err := get(b)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		var e *conf.Error
		require.True(t, errors.As(err, &e))
		assert.False(t, e.Remote)

		r.set(errors.New("name server down"))
		require.ErrorIs(t, get(b), conf.ErrUnavailable)
		r.set(nil, "a")
		assert.NoError(t, get(b), "found as soon as it is there")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.balance(&resolver{}).Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", "k")})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// C2: a list may shrink under a client's feet.
func TestDefect_C2_ShrinkingList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		r := &resolver{addrs: []string{"a", "b", "c"}}
		b := c.balance(r, transport.WithResolveInterval(5*time.Second))
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)[0]

		// A poll is under way at the server that goes.
		keys := []conf.Key{conf.NewKey("", "k")}
		polled := make(chan error, 1)
		go func() {
			_, err := b.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Wait: time.Minute})
			polled <- err
		}()
		synctest.Wait()
		var left []string
		for _, addr := range []string{"a", "b", "c"} {
			if addr != was {
				left = append(left, addr)
			}
		}
		r.set(nil, left[0])
		time.Sleep(10 * time.Second)
		_, closed := c.closed.Load(was)
		assert.False(t, closed, "a call is under way there")
		c.asked(since)
		require.NoError(t, get(b))
		assert.Equal(t, []string{left[0]}, c.asked(since))
		require.NoError(t, <-polled)
		_, closed = c.closed.Load(was)
		assert.True(t, closed, "closed with its last call")
	})
}

// N1: with every name server dead nothing changes for who knows a list.
func TestN1_ResolverDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		r := &resolver{addrs: []string{"a", "b"}}
		b := c.balance(r)
		require.NoError(t, get(b))
		r.set(errors.New("down"))
		for range 60 {
			time.Sleep(time.Minute)
			require.NoError(t, get(b))
		}
	})
}

// A list is asked for again as soon as servers fail.
func TestBalance_ResolvesOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		r := &resolver{addrs: []string{"a"}}
		b := c.balance(r, transport.WithResolveInterval(time.Hour))
		require.NoError(t, get(b))
		c.faulty["a"].Fail(conf.Errorf(conf.ErrUnavailable, "gone"))
		r.set(nil, "b")
		require.Error(t, get(b))
		time.Sleep(2 * time.Second)
		assert.NoError(t, get(b))
	})
}

// Each call that no server has answered has the list asked for anew.
func TestBalance_ResolvesWhenAllHaveFailed(t *testing.T) {
	for name, ask := range map[string]func(b *transport.Balancer) error{
		"read":  func(b *transport.Balancer) error { return get(b) },
		"write": func(b *transport.Balancer) error { _, err := put(b, "r"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, "a", "b")
				for _, f := range c.faulty {
					f.Fail(conf.Errorf(conf.ErrUnavailable, "down"))
				}
				r := &resolver{addrs: []string{"a", "b"}}
				b := c.balance(r, transport.WithResolveInterval(time.Hour))
				for range 5 {
					time.Sleep(2 * time.Second)
					before := r.count()
					require.ErrorIs(t, ask(b), conf.ErrUnavailable)
					synctest.Wait()
					assert.Equal(t, before+1, r.count())
				}
			})
		})
	}
}

// Close leaves nothing behind, also where the resolver takes its time to end.
func TestBalance_CloseWaitsForTheResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slowToEnd{}
		b := transport.NewBalancer(r, newCluster(t).dial)
		synctest.Wait()
		b.Close()
		assert.True(t, r.ended)
	})
}

type slowToEnd struct{ ended bool }

func (r *slowToEnd) Resolve(ctx context.Context) ([]string, error) {
	<-ctx.Done()
	time.Sleep(time.Second) // fake time: in the bubble of its test
	r.ended = true
	return nil, ctx.Err()
}
