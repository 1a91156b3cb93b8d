package follower_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestKeysThatNobodyUsesAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Get(t, client, clienttest.KeyB)
		for i := range 500 {
			c.Set(clienttest.KeyN(i), "x")
			sub, err := client.Subscribe(clienttest.KeyN(i), &clienttest.Recorder{})
			require.NoError(t, err)
			require.NoError(t, sub.Wait(t.Context()))
			sub.Stop()
		}
		clienttest.Settle()
		c.Deny(clienttest.KeyN(1), true)
		assert.Len(t, client.Status(), 502)
		for range 9 {
			time.Sleep(time.Minute)
			clienttest.Get(t, client, clienttest.KeyB)
		}
		assert.Len(t, client.Status(), 502, "they are kept for a while")
		for range 3 {
			time.Sleep(time.Minute)
			clienttest.Get(t, client, clienttest.KeyB)
		}
		status := client.Status()
		require.Len(t, status, 2, "who is read or listened to stays")
		assert.Equal(t, 1, c.FetchCount(clienttest.KeyB), "and is in memory")
		require.ErrorIs(t, client.Status(clienttest.KeyN(1))[0].Err, conf.ErrNotFound)

		time.Sleep(time.Minute)
		polls := c.PollCount()
		for i := range 50 {
			c.Set(clienttest.KeyN(i), "y")
			clienttest.Settle()
		}
		assert.LessOrEqual(t, c.PollCount()-polls, 1, "nobody is woken for their changes")
		var keys []conf.Key
		c.With(func() { keys = c.Sets[c.Polls[len(c.Polls)-1].Set] })
		assert.ElementsMatch(t, []conf.Key{clienttest.KeyA, clienttest.KeyB}, keys)
		c.Set(clienttest.KeyA, "a2")
		clienttest.Settle()
		assert.Equal(t, []string{"a", "a2"}, r.Contents())

		assert.Equal(t, "y", clienttest.Get(t, client, clienttest.KeyN(7)).Content, "it can be read again, as if for the first time")
		clienttest.Settle()
		c.Set(clienttest.KeyN(7), "z")
		clienttest.Settle()
		assert.Equal(t, "z", clienttest.Get(t, client, clienttest.KeyN(7)).Content)
	})
}

// During an outage the values in memory may be the only ones.
func TestNoKeyIsLetGoDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Hour)
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		c.Fail(nil)
		time.Sleep(5 * time.Minute)
		assert.Len(t, client.Status(), 1, "it was read")
		time.Sleep(10 * time.Minute)
		assert.Empty(t, client.Status())
	})
}

// A Get that waits for a server uses its key for as long.
func TestNoKeyIsLetGoUnderAGetThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		clienttest.Subscribe(t, client, clienttest.KeyB, &clienttest.Recorder{}) // polls go on
		c.With(func() { c.Inline = 0 })
		c.FailFetches(clienttest.ErrDown, clienttest.KeyA)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		got := make(chan error, 1)
		go func() { _, err := client.Get(ctx, clienttest.KeyA); got <- err }()
		time.Sleep(40 * time.Minute)
		assert.Len(t, client.Status(), 2)
		c.FailFetches(nil)
		require.NoError(t, <-got)
	})
}

// A refused key that is let go while an answer about it is on its way, such as after an
// own publish, is not polled for again.
func TestAKeyThatIsLetGoWhileItIsFetchedIsNotFollowedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyB, &r)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		c.Deny(clienttest.KeyA, true)
		time.Sleep(11*time.Minute - 500*time.Millisecond - 100*time.Millisecond)
		require.Len(t, client.Status(), 2)
		c.With(func() {
			c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				c.Deny(clienttest.KeyA, false)
				time.Sleep(900 * time.Millisecond)
				return nil, nil
			}
		})
		_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "a2"})
		require.NoError(t, err)
		require.Len(t, client.Status(), 1)
		c.Deny(clienttest.KeyA, true)
		time.Sleep(5 * time.Second)
		c.Set(clienttest.KeyB, "b2")
		clienttest.Settle()
		assert.Equal(t, []string{"b", "b2"}, r.Contents())
		require.NoError(t, client.Status(clienttest.KeyB)[0].Err)
	})
}

func TestPeek_FollowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		config, err := client.Peek(t.Context(), clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, "a", config.Content)
		assert.Equal(t, conf.SourceServer, config.Source)
		clienttest.Settle()
		assert.Empty(t, client.Status())
		assert.Zero(t, c.PollCount())
		c.Set(clienttest.KeyA, "a2")
		config, err = client.Peek(t.Context(), clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, "a2", config.Content, "each call asks")

		_, err = client.Peek(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		_, err = client.Peek(t.Context(), conf.Key{DataID: "not/valid"})
		require.ErrorIs(t, err, conf.ErrInvalid)

		// The order is that of Get.
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		fetches := c.FetchCount(clienttest.KeyA)
		_, err = client.Peek(t.Context(), clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, fetches, c.FetchCount(clienttest.KeyA), "a followed key is in memory")
		time.Sleep(12 * time.Minute)
		assert.Empty(t, client.Status())
		c.Fail(&conf.Error{Err: conf.ErrDenied, Remote: true})
		clienttest.Subscribe(t, client, clienttest.KeyB, &clienttest.Recorder{})
		clienttest.Settle()
		_, err = client.Peek(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrDenied)
		assert.Len(t, client.Status(), 1, "of somebody else's it takes nothing away")
		c.Fail(clienttest.ErrDown)
		config, err = client.Peek(t.Context(), clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, conf.SourceSnapshot, config.Source)
		local.Mu.Lock()
		local.Overrides[clienttest.KeyA] = "mine"
		local.Mu.Unlock()
		config, err = client.Peek(t.Context(), clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, "mine", config.Content)
	})
}
