package diamond_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A value whose check panics is refused like any other, and Err says so.
func TestBind_ErrAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithValidator(func(v any) error {
			if v.(*clienttest.Limits).Rate == 2 {
				panic("of the program's own")
			}
			return nil
		}))
		require.NoError(t, err)
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		clienttest.Settle()
		assert.Equal(t, 1, v.Get().Rate)
		require.Error(t, v.Err(), "the newest value is not the one in force")
		require.Len(t, c.Reported(), 2)
		assert.Equal(t, "panic", c.Reported()[1].Reason)

		c.Set(clienttest.KeyA, `{"rate": 3}`)
		clienttest.Settle()
		assert.Equal(t, 3, v.Get().Rate)
		require.NoError(t, v.Err())
		v.Close()
	})
}

func TestBind_NoCallbackAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		v.Close()
		stop := v.OnChange(func(_, _ *clienttest.Limits) { t.Error("called after Close") })
		clienttest.Settle()
		stop()
	})
}

func TestBind_NoCallbackAfterTheClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		returned := false
		v.OnChange(func(_, _ *clienttest.Limits) {
			time.Sleep(time.Second)
			returned = true
		})
		clienttest.Settle()
		require.NoError(t, client.Close())
		assert.True(t, returned, "a call under way is waited for")
		stop := v.OnChange(func(_, _ *clienttest.Limits) { t.Error("called after the client was closed") })
		clienttest.Settle()
		stop()
		v.Close()
	})
}

// A callback that goes on after it has ended its own registration is waited
// for, one that blocks is named, and one that closes the client is not.
func TestBind_CloseOfTheClientAndItsCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		release := make(chan struct{})
		v.OnChange(func(_, _ *clienttest.Limits) {
			v.Close()
			<-release
		})
		clienttest.Settle()
		start := time.Now()
		err = client.Close()
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		require.ErrorContains(t, err, clienttest.KeyA.String())
		assert.Equal(t, 10*time.Second, time.Since(start))
		close(release)

		client, err = diamond.NewClient(c)
		require.NoError(t, err)
		v, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		closed := make(chan error)
		v.OnChange(func(_, _ *clienttest.Limits) { closed <- client.Close() })
		require.NoError(t, <-closed)
	})
}
