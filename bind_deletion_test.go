package diamond_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

// Programs that run and those that start do not differ.
func TestBind_ADeletionPutsTheDefaultInForceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"n": 42}`)
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		byDefault := diamond.WithDefault("json", `{"n": 1}`)
		running, err := diamond.Bind[number](t.Context(), client, keyA, byDefault)
		require.NoError(t, err)
		bare, err := diamond.Bind[number](t.Context(), client, keyA)
		require.NoError(t, err)
		var changes []int
		running.OnChange(func(_, now *number) { changes = append(changes, now.N) })
		settle()

		check := func(v *diamond.Value[number]) {
			t.Helper()
			assert.Equal(t, 1, v.Get().N)
			assert.Equal(t, diamond.SourceDefault, v.Config().Source)
			require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		}
		c.remove(keyA)
		settle()
		check(running)
		assert.Equal(t, []int{42, 1}, changes)
		assert.Equal(t, 42, bare.Get().N, "without a default the last value stays")
		require.ErrorIs(t, bare.Err(), diamond.ErrNotFound)

		for _, down := range []error{nil, errDown} { // with servers, and from the snapshot alone
			c.fail(down)
			again := newClient(t, c, diamond.WithLocalFiles(local))
			restarted, err := diamond.Bind[number](t.Context(), again, keyA, byDefault)
			require.NoError(t, err)
			check(restarted)
			_, err = diamond.Bind[number](t.Context(), again, keyA)
			require.ErrorIs(t, err, diamond.ErrNotFound)
		}
		c.fail(nil)
		time.Sleep(10 * time.Second)
		c.set(keyA, `{"n": 43}`)
		settle()
		for _, v := range []*diamond.Value[number]{running, bare} {
			assert.Equal(t, 43, v.Get().N)
			require.NoError(t, v.Err())
		}
	})
}
