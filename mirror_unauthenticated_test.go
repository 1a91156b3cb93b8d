package diamond_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A proof of identity that is no longer valid takes nothing from a Mirror. The Mirror says
// why it may be old, and goes on once the proof is valid.
func TestMirror_Unauthenticated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		m := g.follow()
		var told clienttest.Errors
		m.OnError(told.Add)
		clienttest.Settle()
		refuse := &conf.Error{Err: diamond.ErrUnauthenticated, Remote: true}
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) { return nil, refuse },
			func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, refuse })
		g.elsewhere()
		time.Sleep(10 * time.Minute)
		g.publish("a", "2")
		time.Sleep(10 * time.Minute)
		require.ErrorIs(t, m.Err(), diamond.ErrUnauthenticated)
		errs := told.Take()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], diamond.ErrUnauthenticated)
		entries, _ := m.Load()
		assert.Equal(t, "1", entries[inGroup("a")].Content)

		g.exchange.hooks(nil, nil)
		time.Sleep(10 * time.Minute)
		require.NoError(t, m.Err())
		entries, _ = m.Load()
		assert.Equal(t, "2", entries[inGroup("a")].Content)
	})
}
