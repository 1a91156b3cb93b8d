package diamond_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

// A value whose check panics is refused like any other, and Err says so.
func TestBind_ErrAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		c.set(keyA, `{"rate": 1}`)
		v, err := diamond.Bind[limits](t.Context(), client, keyA, diamond.WithValidator(func(v any) error {
			if v.(*limits).Rate == 2 {
				panic("of the program's own")
			}
			return nil
		}))
		require.NoError(t, err)
		settle()
		c.set(keyA, `{"rate": 2}`)
		settle()
		assert.Equal(t, 1, v.Get().Rate)
		require.Error(t, v.Err(), "the newest value is not the one in force")
		require.Len(t, c.reported(), 2)
		assert.Equal(t, "panic", c.reported()[1].Reason)

		c.set(keyA, `{"rate": 3}`)
		settle()
		assert.Equal(t, 3, v.Get().Rate)
		require.NoError(t, v.Err())
		v.Close()
	})
}

func TestBind_NoCallbackAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		c.set(keyA, `{"rate": 1}`)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		v.Close()
		stop := v.OnChange(func(_, _ *limits) { t.Error("called after Close") })
		settle()
		stop()
	})
}

func TestBind_NoCallbackAfterTheClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		returned := false
		v.OnChange(func(_, _ *limits) {
			time.Sleep(time.Second)
			returned = true
		})
		settle()
		require.NoError(t, client.Close())
		assert.True(t, returned, "a call under way is waited for")
		stop := v.OnChange(func(_, _ *limits) { t.Error("called after the client was closed") })
		settle()
		stop()
		v.Close()
	})
}

// A callback that goes on after it has ended its own registration is waited
// for, one that blocks is named, and one that closes the client is not.
func TestBind_CloseOfTheClientAndItsCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		release := make(chan struct{})
		v.OnChange(func(_, _ *limits) {
			v.Close()
			<-release
		})
		settle()
		start := time.Now()
		err = client.Close()
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		require.ErrorContains(t, err, keyA.String())
		assert.Equal(t, 10*time.Second, time.Since(start))
		close(release)

		client, err = diamond.NewClient(c)
		require.NoError(t, err)
		v, err = diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		closed := make(chan error)
		v.OnChange(func(_, _ *limits) { closed <- client.Close() })
		require.NoError(t, <-closed)
	})
}
