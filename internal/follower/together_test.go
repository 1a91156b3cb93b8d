package follower_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestTogether_ShowsChangeSetsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		put := func(n int) {
			c.SetAll(map[conf.Key]string{clienttest.KeyA: strconv.Itoa(n), clienttest.KeyB: strconv.Itoa(n)})
		}
		put(0)
		n := 0
		c.OnFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			if req.Key == clienttest.KeyB && n < 5 { // between the first fetches of the two
				n++
				put(n)
			}
			return nil, nil
		}
		client := clienttest.NewClient(t, c)
		read := func() (string, string, conf.Position) {
			configs, at, err := client.Together(t.Context(), clienttest.KeyA, clienttest.KeyB, clienttest.KeyN(1))
			require.NoError(t, err)
			require.Len(t, configs, 2, "one that does not exist is left out")
			assert.LessOrEqual(t, configs[clienttest.KeyA].Revision, at.Revision)
			return configs[clienttest.KeyA].Content, configs[clienttest.KeyB].Content, at
		}
		a, b, _ := read()
		assert.Equal(t, "1", a)
		assert.Equal(t, a, b)

		calls := 0
		clienttest.Subscribe(t, client, clienttest.KeyA, diamond.ListenerFunc(func(_ context.Context, config conf.Config) error {
			a, b, at := read()
			assert.Equal(t, a, b)
			assert.GreaterOrEqual(t, at.Revision, config.Revision)
			calls++
			return nil
		}))
		clienttest.Settle()
		for i := 10; i < 60; i++ {
			put(i)
			a, b, _ := read()
			assert.Equal(t, a, b)
			time.Sleep(time.Duration(i%3) * time.Millisecond)
		}
		clienttest.Settle()
		a, b, at := read()
		assert.Equal(t, []string{"59", "59"}, []string{a, b})
		assert.Equal(t, c.Position(), at)
		assert.Greater(t, calls, 10)

		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		a, b, _ = read()
		assert.Equal(t, a, b, "in memory, like what Get returns")
	})
}

// A set is shown when all of it has arrived, and an own publish does not split a set.
func TestTogether_WaitsForContentsOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 3
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1-large", clienttest.KeyB: "1"})
		client := clienttest.NewClient(t, c)
		_, _, err := client.Together(t.Context(), clienttest.KeyA, clienttest.KeyB)
		require.NoError(t, err)
		clienttest.Settle()
		c.FailFetches(clienttest.ErrDown)
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "2-large", clienttest.KeyB: "2"})
		clienttest.Settle()
		start := time.Now()
		_, _, err = client.Together(t.Context(), clienttest.KeyA, clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.AfterFunc(time.Second, func() { c.FailFetches(nil) })
		configs, _, err := client.Together(ctx, clienttest.KeyA, clienttest.KeyB)
		require.NoError(t, err)
		assert.Equal(t, "2-large", configs[clienttest.KeyA].Content)
		assert.Equal(t, "2", configs[clienttest.KeyB].Content)

		_, _, err = client.Together(t.Context(), clienttest.KeyA, conf.Key{DataID: "not/valid"})
		require.ErrorIs(t, err, conf.ErrInvalid)
	})
}

// A content that was only named, and whose history was lost, is forgotten.
func TestNewEpoch_AContentThatWasAnnouncedBeforeIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 3
		c.Set(clienttest.KeyA, "kept-large")
		kept, entry := c.Position().Revision, c.Entries[clienttest.KeyA]
		client := clienttest.NewClient(t, c)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		c.FailFetches(clienttest.ErrDown)
		c.Set(clienttest.KeyA, "lost-large")
		clienttest.Settle()
		c.With(func() { c.OnFetch = nil; c.Entries[clienttest.KeyA] = entry })
		c.Fork(kept)
		time.Sleep(time.Minute)
		fetches, confirmed := c.FetchCount(clienttest.KeyA), clienttest.Get(t, client, clienttest.KeyA).Confirmed
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, c.FetchCount(clienttest.KeyA)-fetches, 1)
		assert.Equal(t, "kept-large", clienttest.Get(t, client, clienttest.KeyA).Content)
		require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
		assert.True(t, clienttest.Get(t, client, clienttest.KeyA).Confirmed.After(confirmed))
	})
}

// A stale server confirms a value as of its last own confirmation, by a fetch and by polls.
func TestGet_AStaleServerConfirmsAsOfThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		const stale = 10 * time.Minute
		c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
			return &conf.FetchResponse{Found: true, Entry: c.Entries[clienttest.KeyA], Position: c.At, Stale: stale}, nil
		}
		c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
			select {
			case <-time.After(req.Wait):
				return &conf.PollResponse{Position: c.At, Stale: stale}, nil
			case <-ctx.Done():
				return nil, &conf.Error{Err: ctx.Err()}
			}
		}
		client := clienttest.NewClient(t, c)
		assert.Equal(t, stale, time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed))
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		time.Sleep(5 * time.Minute)
		age := time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed)
		assert.GreaterOrEqual(t, age, stale)
		assert.Less(t, age, stale+time.Minute)
	})
}

// When polls succeed again, missing contents are fetched at once, without waiting for their
// pause.
func TestPoll_ContentsComeWithTheFirstPollAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 3
		c.Set(clienttest.KeyA, "1-large")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		overloaded := &conf.Error{Err: conf.ErrOverloaded, RetryAfter: 4 * time.Minute, Remote: true}
		c.FailFetches(overloaded)
		c.Set(clienttest.KeyA, "2-large")
		clienttest.Settle()
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		c.Fail(nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "2-large", r.Last().Content)
	})
}
