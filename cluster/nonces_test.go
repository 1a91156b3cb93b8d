package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// A nonce is known for as long as a proof with it would be taken: also when it is
// one of the older half, and until the last moment.
func TestNoncesAreKnownForTwiceTheWindow(t *testing.T) {
	const keep = 2 * Window
	for _, used := range []time.Duration{0, keep / 2, keep, keep + 1, 2 * keep} {
		n := newNonces(100)
		require.NoError(t, n.use("first", 0))
		require.NoError(t, n.use("one", used))
		for _, after := range []time.Duration{0, 1, Window, keep - 1, keep} {
			require.ErrorIs(t, n.use("one", used+after), conf.ErrDenied, "used at %v, again %v later", used, after)
			require.NoError(t, n.use("other at "+after.String(), used+after)) // has the halves turn
		}
	}
}

// Nonces are forgotten in the end, and none too early for another's sake.
func TestNoncesHaveRoom(t *testing.T) {
	n := newNonces(2)
	require.NoError(t, n.use("a", 0))
	require.NoError(t, n.use("b", 2*Window+1)) // turns: a is one of the older half
	require.ErrorIs(t, n.use("c", 2*Window+2), conf.ErrOverloaded, "both halves count")
	require.ErrorIs(t, n.use("a", 2*Window+3), conf.ErrDenied)
	require.NoError(t, n.use("c", 5*Window), "a was forgotten")
	require.NoError(t, n.use("a", 20*Window))
	require.NoError(t, n.use("b", 20*Window))
}
