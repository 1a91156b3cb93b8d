package diamond_test

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
)

func TestTogether_ShowsChangeSetsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		put := func(n int) {
			c.setAll(map[conf.Key]string{keyA: strconv.Itoa(n), keyB: strconv.Itoa(n)})
		}
		put(0)
		n := 0
		c.onFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			if req.Key == keyB && n < 5 { // between the first fetches of the two
				n++
				put(n)
			}
			return nil, nil
		}
		client := newClient(t, c)
		read := func() (string, string, conf.Position) {
			configs, at, err := client.Together(t.Context(), keyA, keyB, keyN(1))
			require.NoError(t, err)
			require.Len(t, configs, 2, "one that does not exist is left out")
			assert.LessOrEqual(t, configs[keyA].Revision, at.Revision)
			return configs[keyA].Content, configs[keyB].Content, at
		}
		a, b, _ := read()
		assert.Equal(t, "1", a)
		assert.Equal(t, a, b)

		calls := 0
		subscribe(t, client, keyA, diamond.ListenerFunc(func(_ context.Context, config conf.Config) error {
			a, b, at := read()
			assert.Equal(t, a, b)
			assert.GreaterOrEqual(t, at.Revision, config.Revision)
			calls++
			return nil
		}))
		settle()
		for i := 10; i < 60; i++ {
			put(i)
			a, b, _ := read()
			assert.Equal(t, a, b)
			time.Sleep(time.Duration(i%3) * time.Millisecond)
		}
		settle()
		a, b, at := read()
		assert.Equal(t, []string{"59", "59"}, []string{a, b})
		assert.Equal(t, c.position(), at)
		assert.Greater(t, calls, 10)

		c.fail(errDown)
		time.Sleep(time.Minute)
		a, b, _ = read()
		assert.Equal(t, a, b, "in memory, like what Get returns")
	})
}

// A set is shown when all of it is here, and an own publish does not split one.
func TestTogether_WaitsForContentsOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 3
		c.setAll(map[conf.Key]string{keyA: "1-large", keyB: "1"})
		client := newClient(t, c)
		_, _, err := client.Together(t.Context(), keyA, keyB)
		require.NoError(t, err)
		settle()
		c.failFetches(errDown)
		c.setAll(map[conf.Key]string{keyA: "2-large", keyB: "2"})
		settle()
		start := time.Now()
		_, _, err = client.Together(t.Context(), keyA, keyB)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.AfterFunc(time.Second, func() { c.failFetches(nil) })
		configs, _, err := client.Together(ctx, keyA, keyB)
		require.NoError(t, err)
		assert.Equal(t, "2-large", configs[keyA].Content)
		assert.Equal(t, "2", configs[keyB].Content)

		_, _, err = client.Together(t.Context(), keyA, conf.Key{DataID: "not/valid"})
		require.ErrorIs(t, err, conf.ErrInvalid)
	})
}

// A content that was only named, and whose history was lost, is forgotten.
func TestNewEpoch_AContentThatWasAnnouncedBeforeIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 3
		c.set(keyA, "kept-large")
		kept, entry := c.position().Revision, c.entries[keyA]
		client := newClient(t, c)
		subscribe(t, client, keyA, &recorder{})
		settle()
		c.failFetches(errDown)
		c.set(keyA, "lost-large")
		settle()
		c.with(func() { c.onFetch = nil; c.entries[keyA] = entry })
		c.fork(kept)
		time.Sleep(time.Minute)
		fetches, confirmed := c.fetchCount(keyA), get(t, client, keyA).Confirmed
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, c.fetchCount(keyA)-fetches, 1)
		assert.Equal(t, "kept-large", get(t, client, keyA).Content)
		require.NoError(t, client.Status(keyA)[0].Err)
		assert.True(t, get(t, client, keyA).Confirmed.After(confirmed))
	})
}

// What a stale server confirms is as of when it knew: by a fetch, and by polls.
func TestGet_AStaleServerConfirmsAsOfThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		const stale = 10 * time.Minute
		c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
			return &conf.FetchResponse{Found: true, Entry: c.entries[keyA], Position: c.at, Stale: stale}, nil
		}
		c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
			select {
			case <-time.After(req.Wait):
				return &conf.PollResponse{Position: c.at, Stale: stale}, nil
			case <-ctx.Done():
				return nil, &conf.Error{Err: ctx.Err()}
			}
		}
		client := newClient(t, c)
		assert.Equal(t, stale, time.Since(get(t, client, keyA).Confirmed))
		subscribe(t, client, keyA, &recorder{})
		time.Sleep(5 * time.Minute)
		age := time.Since(get(t, client, keyA).Confirmed)
		assert.GreaterOrEqual(t, age, stale)
		assert.Less(t, age, stale+time.Minute)
	})
}

// When polls can be had again, so may contents: they do not wait for their pause.
func TestPoll_ContentsComeWithTheFirstPollAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 3
		c.set(keyA, "1-large")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		overloaded := &conf.Error{Err: conf.ErrOverloaded, RetryAfter: 4 * time.Minute, Remote: true}
		c.failFetches(overloaded)
		c.set(keyA, "2-large")
		settle()
		c.fail(errDown)
		time.Sleep(time.Minute)
		c.fail(nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "2-large", r.last().Content)
	})
}
