package diamond_test

import (
	"testing"
	"testing/synctest"

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
