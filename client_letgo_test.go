package diamond_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func TestKeysThatNobodyUsesAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		c.set(keyA, "a")
		c.set(keyB, "b")
		var r recorder
		subscribe(t, client, keyA, &r)
		get(t, client, keyB)
		for i := range 500 {
			c.set(keyN(i), "x")
			sub, err := client.Subscribe(keyN(i), &recorder{})
			require.NoError(t, err)
			require.NoError(t, sub.Wait(t.Context()))
			sub.Stop()
		}
		settle()
		c.deny(keyN(1), true)
		assert.Len(t, client.Status(), 502)
		for range 9 {
			time.Sleep(time.Minute)
			get(t, client, keyB)
		}
		assert.Len(t, client.Status(), 502, "they are kept for a while")
		for range 3 {
			time.Sleep(time.Minute)
			get(t, client, keyB)
		}
		status := client.Status()
		require.Len(t, status, 2, "who is read or listened to stays")
		assert.Equal(t, 1, c.fetchCount(keyB), "and is in memory")
		require.ErrorIs(t, client.Status(keyN(1))[0].Err, conf.ErrNotFound)

		time.Sleep(time.Minute)
		polls := c.pollCount()
		for i := range 50 {
			c.set(keyN(i), "y")
			settle()
		}
		assert.LessOrEqual(t, c.pollCount()-polls, 1, "nobody is woken for their changes")
		var keys []conf.Key
		c.with(func() { keys = c.sets[c.polls[len(c.polls)-1].Set] })
		assert.ElementsMatch(t, []conf.Key{keyA, keyB}, keys)
		c.set(keyA, "a2")
		settle()
		assert.Equal(t, []string{"a", "a2"}, r.contents())

		assert.Equal(t, "y", get(t, client, keyN(7)).Content, "it can be read again, as if for the first time")
		settle()
		c.set(keyN(7), "z")
		settle()
		assert.Equal(t, "z", get(t, client, keyN(7)).Content)
	})
}

// What is in memory may be all that there is.
func TestNoKeyIsLetGoDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		c.fail(errDown)
		time.Sleep(time.Hour)
		assert.Equal(t, "a", get(t, client, keyA).Content)
		c.fail(nil)
		time.Sleep(5 * time.Minute)
		assert.Len(t, client.Status(), 1, "it was read")
		time.Sleep(10 * time.Minute)
		assert.Empty(t, client.Status())
	})
}

// A Get that waits for a server uses its key for as long.
func TestNoKeyIsLetGoUnderAGetThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		client := newClient(t, c)
		subscribe(t, client, keyB, &recorder{}) // polls go on
		c.with(func() { c.inline = 0 })
		c.failFetches(errDown, keyA)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		got := make(chan error, 1)
		go func() { _, err := client.Get(ctx, keyA); got <- err }()
		time.Sleep(40 * time.Minute)
		assert.Len(t, client.Status(), 2)
		c.failFetches(nil)
		require.NoError(t, <-got)
	})
}

// A refused key that is let go while a server tells of it, as after a publish of
// one's own, is not polled for again.
func TestAKeyThatIsLetGoWhileItIsFetchedIsNotFollowedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyB, &r)
		get(t, client, keyA)
		settle()
		c.deny(keyA, true)
		time.Sleep(11*time.Minute - 500*time.Millisecond - 100*time.Millisecond)
		require.Len(t, client.Status(), 2)
		c.with(func() {
			c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				c.deny(keyA, false)
				time.Sleep(900 * time.Millisecond)
				return nil, nil
			}
		})
		_, err := client.Publish(t.Context(), conf.Draft{Key: keyA, Content: "a2"})
		require.NoError(t, err)
		require.Len(t, client.Status(), 1)
		c.deny(keyA, true)
		time.Sleep(5 * time.Second)
		c.set(keyB, "b2")
		settle()
		assert.Equal(t, []string{"b", "b2"}, r.contents())
		require.NoError(t, client.Status(keyB)[0].Err)
	})
}

func TestPeek_FollowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		config, err := client.Peek(t.Context(), keyA)
		require.NoError(t, err)
		assert.Equal(t, "a", config.Content)
		assert.Equal(t, conf.SourceServer, config.Source)
		settle()
		assert.Empty(t, client.Status())
		assert.Zero(t, c.pollCount())
		c.set(keyA, "a2")
		config, err = client.Peek(t.Context(), keyA)
		require.NoError(t, err)
		assert.Equal(t, "a2", config.Content, "each call asks")

		_, err = client.Peek(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		_, err = client.Peek(t.Context(), conf.Key{DataID: "not/valid"})
		require.ErrorIs(t, err, conf.ErrInvalid)

		// The order is that of Get.
		get(t, client, keyA)
		settle()
		fetches := c.fetchCount(keyA)
		_, err = client.Peek(t.Context(), keyA)
		require.NoError(t, err)
		assert.Equal(t, fetches, c.fetchCount(keyA), "a followed key is in memory")
		time.Sleep(12 * time.Minute)
		assert.Empty(t, client.Status())
		c.fail(&conf.Error{Err: conf.ErrDenied, Remote: true})
		subscribe(t, client, keyB, &recorder{})
		settle()
		_, err = client.Peek(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrDenied)
		assert.Len(t, client.Status(), 1, "of somebody else's it takes nothing away")
		c.fail(errDown)
		config, err = client.Peek(t.Context(), keyA)
		require.NoError(t, err)
		assert.Equal(t, conf.SourceSnapshot, config.Source)
		local.mu.Lock()
		local.overrides[keyA] = "mine"
		local.mu.Unlock()
		config, err = client.Peek(t.Context(), keyA)
		require.NoError(t, err)
		assert.Equal(t, "mine", config.Content)
	})
}
