package diamond_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func TestGet_FollowsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		rev := c.set(keyA, "one")
		client := newClient(t, c)

		config := get(t, client, keyA)
		assert.Equal(t, "one", config.Content)
		assert.Equal(t, rev, config.Revision)
		assert.Equal(t, conf.SourceServer, config.Source)
		assert.Equal(t, time.Now(), config.Confirmed)

		settle() // the key is being polled for
		c.set(keyA, "two")
		synctest.Wait()
		assert.Equal(t, "two", get(t, client, keyA).Content, "the poll was parked, so there is no delay at all")
		assert.Equal(t, 1, c.fetchCount(keyA))
	})
}

func TestGet_ConfirmedMovesWithThePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		client := newClient(t, c)
		start := get(t, client, keyA).Confirmed
		time.Sleep(5 * time.Minute)
		config := get(t, client, keyA)
		assert.Less(t, time.Since(config.Confirmed), 30*time.Second)
		assert.True(t, config.Confirmed.After(start))

		c.fail(errDown)
		time.Sleep(5 * time.Minute)
		config = get(t, client, keyA)
		assert.Equal(t, "one", config.Content)
		assert.Greater(t, time.Since(config.Confirmed), 4*time.Minute, "nobody has confirmed it since")
		status := client.Status(keyA)[0]
		assert.Equal(t, time.Since(config.Confirmed), status.Age)
		assert.ErrorIs(t, status.Err, conf.ErrUnavailable)

		c.fail(nil)
		time.Sleep(30 * time.Second)
		assert.Less(t, time.Since(get(t, client, keyA).Confirmed), 30*time.Second)
		assert.NoError(t, client.Status(keyA)[0].Err)
	})
}

func TestGet_AbsentThenThereThenDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		config, err := client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.False(t, config.Deleted, "it never was")
		settle()
		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, c.pollCount()-polls, 3, "a key that is not there is no reason to hurry")

		c.set(keyA, "one")
		settle()
		assert.Equal(t, "one", get(t, client, keyA).Content)

		c.remove(keyA)
		settle()
		config, err = client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.True(t, config.Deleted)
	})
}

func TestC5_ManyWhoWantOneKeyShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		c.onFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
			time.Sleep(50 * time.Millisecond)
			return nil, nil
		}
		client := newClient(t, c)
		var wg sync.WaitGroup
		recorders := make([]recorder, 1000)
		for i := range recorders {
			wg.Go(func() {
				sub, err := client.Subscribe(keyA, &recorders[i])
				if assert.NoError(t, err) {
					assert.NoError(t, sub.Wait(t.Context()))
				}
			})
			wg.Go(func() {
				config, err := client.Get(t.Context(), keyA)
				assert.NoError(t, err)
				assert.Equal(t, "one", config.Content)
			})
		}
		wg.Wait()
		settle()
		assert.Equal(t, 1, c.fetchCount(keyA))
		assert.Equal(t, 1, c.pollCount())
		for i := range recorders {
			require.Equal(t, []string{"one"}, recorders[i].contents())
		}
	})
}

func TestGet_KeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
			time.Sleep(time.Second)
			return nil, nil
		}
		client := newClient(t, c)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			c.set(keyN(i), "x")
			wg.Go(func() { get(t, client, keyN(i)) })
		}
		wg.Wait()
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestGet_WaitsForAServerAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		c.fail(errDown)
		client := newClient(t, c)

		start := time.Now()
		_, err := client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start), "where the caller does not say")

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start = time.Now()
		_, err = client.Get(ctx, keyA)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.Less(t, c.fetchCount(keyA), 150, "with pauses in between")

		go func() {
			time.Sleep(10 * time.Second)
			c.fail(nil)
		}()
		ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start = time.Now()
		config, err := client.Get(ctx, keyA)
		require.NoError(t, err)
		assert.Equal(t, "one", config.Content)
		assert.LessOrEqual(t, time.Since(start), 11*time.Second)
	})
}

func TestGet_BadKeyIsRefusedAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		_, err := client.Get(t.Context(), conf.NewKey("", "a b"))
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = client.Subscribe(conf.NewKey("", ".."), &recorder{})
		require.ErrorIs(t, err, conf.ErrInvalid)
		assert.Zero(t, c.pollCount())
		assert.Empty(t, client.Status())
	})
}

func TestGet_AKeyThatServersRefuseDoesNotSpoilThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		refused := conf.NewKey("", "refused")
		c.onFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			if req.Key == refused {
				return nil, &conf.Error{Err: conf.ErrDenied, Remote: true}
			}
			return nil, nil
		}
		client := newClient(t, c)
		get(t, client, keyA)
		_, err := client.Get(t.Context(), refused)
		require.ErrorIs(t, err, conf.ErrDenied)
		sub := subscribe(t, client, refused, &recorder{})
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrDenied)
		settle()
		assert.Equal(t, conf.HashKeys([]conf.Key{keyA}), c.lastPoll().Set)
	})
}
func TestGet_OfAKnownKeyDoesNotAllocate(t *testing.T) {
	c := newCentre()
	c.set(keyA, "a")
	client := newClient(t, c)
	get(t, client, keyA)
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = client.Get(ctx, keyA) }))
}

func TestGet_AServerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		behind := newCentre()
		behind.set(keyA, "a")
		c.set(keyB, "b")
		c.set(keyN(0), "new")
		client := newClient(t, c)
		get(t, client, keyB) // the client has seen the newest position
		c.with(func() {
			c.onFetch = func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
				return behind.Fetch(ctx, req)
			}
			c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return behind.Poll(ctx, req)
			}
			c.announce()
		})
		assert.Equal(t, "a", get(t, client, keyA).Content, "a value that may be old is better than none")
		_, err := client.Get(t.Context(), keyN(0))
		require.ErrorIs(t, err, conf.ErrBehind, "an absence that may be old proves nothing")

		// The fetch alone brings it, where polls bring nothing.
		behind.set(keyN(1), "1")
		c.with(func() {
			c.onPoll = func(ctx context.Context, _ *conf.PollRequest) (*conf.PollResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		assert.Equal(t, "1", get(t, client, keyN(1)).Content)

		// One that does not even say so.
		position := behind.position()
		c.with(func() {
			c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				return &conf.FetchResponse{Position: position}, nil
			}
		})
		_, err = client.Get(t.Context(), keyN(0))
		require.ErrorIs(t, err, conf.ErrBehind)
	})
}

// A first Get is not answered by a server that is behind what polls have brought.
func TestGet_AsksForTheNewestPositionSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "1")
		c.set(keyB, "b")
		client := newClient(t, c)
		subscribe(t, client, keyA, &recorder{})
		settle()
		c.set(keyA, "2")
		settle()
		var after conf.Position
		c.with(func() {
			c.onFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
				after = req.After
				return nil, nil
			}
		})
		get(t, client, keyB)
		assert.Equal(t, c.position(), after)
	})
}
