package follower_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestGet_FollowsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		rev := c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)

		config := clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, "one", config.Content)
		assert.Equal(t, rev, config.Revision)
		assert.Equal(t, conf.SourceServer, config.Source)
		assert.Equal(t, time.Now(), config.Confirmed)

		clienttest.Settle() // the key is being polled for
		c.Set(clienttest.KeyA, "two")
		synctest.Wait()
		assert.Equal(t, "two", clienttest.Get(t, client, clienttest.KeyA).Content, "the poll was parked, so there is no delay at all")
		assert.Equal(t, 1, c.FetchCount(clienttest.KeyA))
	})
}

func TestGet_ConfirmedMovesWithThePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)
		start := clienttest.Get(t, client, clienttest.KeyA).Confirmed
		time.Sleep(5 * time.Minute)
		config := clienttest.Get(t, client, clienttest.KeyA)
		assert.Less(t, time.Since(config.Confirmed), 30*time.Second)
		assert.True(t, config.Confirmed.After(start))

		c.Fail(clienttest.ErrDown)
		time.Sleep(5 * time.Minute)
		config = clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, "one", config.Content)
		assert.Greater(t, time.Since(config.Confirmed), 4*time.Minute, "nobody has confirmed it since")
		status := client.Status(clienttest.KeyA)[0]
		assert.Equal(t, time.Since(config.Confirmed), status.Age)
		assert.ErrorIs(t, status.Err, conf.ErrUnavailable)

		c.Fail(nil)
		time.Sleep(30 * time.Second)
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed), 30*time.Second)
		assert.NoError(t, client.Status(clienttest.KeyA)[0].Err)
	})
}

func TestGet_AbsentThenThereThenDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		config, err := client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.False(t, config.Deleted, "it never was")
		clienttest.Settle()
		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, c.PollCount()-polls, 3, "a key that is not there is no reason to hurry")

		c.Set(clienttest.KeyA, "one")
		clienttest.Settle()
		assert.Equal(t, "one", clienttest.Get(t, client, clienttest.KeyA).Content)

		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		config, err = client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.True(t, config.Deleted)
	})
}

func TestC5_ManyWhoWantOneKeyShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		c.OnFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
			time.Sleep(50 * time.Millisecond)
			return nil, nil
		}
		client := clienttest.NewClient(t, c)
		var wg sync.WaitGroup
		recorders := make([]clienttest.Recorder, 1000)
		for i := range recorders {
			wg.Go(func() {
				sub, err := client.Subscribe(clienttest.KeyA, &recorders[i])
				if assert.NoError(t, err) {
					assert.NoError(t, sub.Wait(t.Context()))
				}
			})
			wg.Go(func() {
				config, err := client.Get(t.Context(), clienttest.KeyA)
				assert.NoError(t, err)
				assert.Equal(t, "one", config.Content)
			})
		}
		wg.Wait()
		clienttest.Settle()
		assert.Equal(t, 1, c.FetchCount(clienttest.KeyA))
		assert.Equal(t, 1, c.PollCount())
		for i := range recorders {
			require.Equal(t, []string{"one"}, recorders[i].Contents())
		}
	})
}

func TestGet_KeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
			time.Sleep(time.Second)
			return nil, nil
		}
		client := clienttest.NewClient(t, c)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			c.Set(clienttest.KeyN(i), "x")
			wg.Go(func() { clienttest.Get(t, client, clienttest.KeyN(i)) })
		}
		wg.Wait()
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestGet_WaitsForAServerAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c)

		start := time.Now()
		_, err := client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start), "where the caller does not say")

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start = time.Now()
		_, err = client.Get(ctx, clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 30*time.Second, time.Since(start))
		assert.Less(t, c.FetchCount(clienttest.KeyA), 150, "with pauses in between")

		go func() {
			time.Sleep(10 * time.Second)
			c.Fail(nil)
		}()
		ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start = time.Now()
		config, err := client.Get(ctx, clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, "one", config.Content)
		assert.LessOrEqual(t, time.Since(start), 11*time.Second)
	})
}

// A caller whose time is up while an attempt hangs learns why the one before failed.
func TestGet_SaysWhyTheLastAttemptFailed(t *testing.T) {
	for name, end := range map[string]time.Duration{"the client's own time": 0, "a deadline": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return nil, clienttest.ErrDown }
				fetches := 0
				c.OnFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
					if fetches++; fetches < 3 {
						return nil, conf.Errorf(conf.ErrUnavailable, "failure %d", fetches)
					}
					<-ctx.Done()
					return nil, ctx.Err()
				}
				client := clienttest.NewClient(t, c)
				ctx := t.Context()
				if end > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, end)
					defer stop()
				}
				_, err := client.Get(ctx, clienttest.KeyA)
				assert.ErrorIs(t, err, conf.ErrUnavailable)
				assert.ErrorContains(t, err, "failure 2")
				assert.Equal(t, end > 0, errors.Is(err, context.DeadlineExceeded))
			})
		})
	}
}

func TestGet_BadKeyIsRefusedWithoutARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		_, err := client.Get(t.Context(), conf.NewKey("", "a b"))
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = client.Subscribe(conf.NewKey("", ".."), &clienttest.Recorder{})
		require.ErrorIs(t, err, conf.ErrInvalid)
		assert.Zero(t, c.PollCount())
		assert.Empty(t, client.Status())
	})
}

func TestGet_AKeyThatServersRefuseDoesNotSpoilThePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		refused := conf.NewKey("", "refused")
		c.OnFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			if req.Key == refused {
				return nil, &conf.Error{Err: conf.ErrDenied, Remote: true}
			}
			return nil, nil
		}
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		_, err := client.Get(t.Context(), refused)
		require.ErrorIs(t, err, conf.ErrDenied)
		sub := clienttest.Subscribe(t, client, refused, &clienttest.Recorder{})
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrDenied)
		clienttest.Settle()
		assert.Equal(t, conf.HashKeys([]conf.Key{clienttest.KeyA}), c.LastPoll().Set)
	})
}
func TestGet_OfAKnownKeyDoesNotAllocate(t *testing.T) {
	c := clienttest.NewCentre()
	c.Set(clienttest.KeyA, "a")
	client := clienttest.NewClient(t, c)
	clienttest.Get(t, client, clienttest.KeyA)
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = client.Get(ctx, clienttest.KeyA) }))
}

func TestGet_AServerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		behind := clienttest.NewCentre()
		behind.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		c.Set(clienttest.KeyN(0), "new")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyB) // the client has seen the newest position
		c.With(func() {
			c.OnFetch = func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
				return behind.Fetch(ctx, req)
			}
			c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return behind.Poll(ctx, req)
			}
			c.Announce()
		})
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content, "a value that may be old is better than none")
		_, err := client.Get(t.Context(), clienttest.KeyN(0))
		require.ErrorIs(t, err, conf.ErrBehind, "an absence that may be old proves nothing")

		// The fetch alone brings it, where polls bring nothing.
		behind.Set(clienttest.KeyN(1), "1")
		c.With(func() {
			c.OnPoll = func(ctx context.Context, _ *conf.PollRequest) (*conf.PollResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		assert.Equal(t, "1", clienttest.Get(t, client, clienttest.KeyN(1)).Content)

		// One that does not even say so.
		position := behind.Position()
		c.With(func() {
			c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				return &conf.FetchResponse{Position: position}, nil
			}
		})
		_, err = client.Get(t.Context(), clienttest.KeyN(0))
		require.ErrorIs(t, err, conf.ErrBehind)
	})
}

// A first Get is not answered by a server that is behind what polls have brought.
func TestGet_AsksForTheNewestPositionSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "1")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		c.Set(clienttest.KeyA, "2")
		clienttest.Settle()
		var after conf.Position
		c.With(func() {
			c.OnFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
				after = req.After
				return nil, nil
			}
		})
		clienttest.Get(t, client, clienttest.KeyB)
		assert.Equal(t, c.Position(), after)
	})
}
