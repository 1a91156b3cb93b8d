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

// number is a configuration that says nothing but a number.
type number struct {
	N int `json:"n"`
}

// Programs that run and those that start do not differ.
func TestBind_ADeletionPutsTheDefaultInForceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"n": 42}`)
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		byDefault := diamond.WithDefaultContent("json", `{"n": 1}`)
		running, err := diamond.Bind[number](t.Context(), client, clienttest.KeyA, byDefault)
		require.NoError(t, err)
		bare, err := diamond.Bind[number](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		var changes []int
		running.OnChange(func(_, now *number) { changes = append(changes, now.N) })
		clienttest.Settle()

		check := func(v *diamond.Value[number]) {
			t.Helper()
			assert.Equal(t, 1, v.Get().N)
			assert.Equal(t, diamond.SourceDefault, v.Config().Source)
			require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		}
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		check(running)
		assert.Equal(t, []int{42, 1}, changes)
		assert.Equal(t, 42, bare.Get().N, "without a default the last value stays")
		require.ErrorIs(t, bare.Err(), diamond.ErrNotFound)

		for _, down := range []error{nil, clienttest.ErrDown} { // with servers, and from the snapshot alone
			c.Fail(down)
			again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
			restarted, err := diamond.Bind[number](t.Context(), again, clienttest.KeyA, byDefault)
			require.NoError(t, err)
			check(restarted)
			_, err = diamond.Bind[number](t.Context(), again, clienttest.KeyA)
			require.ErrorIs(t, err, diamond.ErrNotFound)
		}
		c.Fail(nil)
		time.Sleep(10 * time.Second)
		c.Set(clienttest.KeyA, `{"n": 43}`)
		clienttest.Settle()
		for _, v := range []*diamond.Value[number]{running, bare} {
			assert.Equal(t, 43, v.Get().N)
			require.NoError(t, v.Err())
		}
	})
}
