package namesrv

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// Who registers can see with which name servers that worked, and why not.
func TestRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ns3 = "10.0.0.3:8080"
		n := newMemNet()
		n.serve(t, ns1, NewRegistry())
		n.serve(t, ns2, NewRegistry(ours(t)))
		c := n.client(t, []string{ns1, ns2, ns3}, theirs(t))
		assert.Empty(t, c.Registrations(), "nothing is to be registered")
		stop := register(t, c, "[::1]:1210")
		time.Sleep(5 * time.Second)
		states := c.Registrations()
		require.Len(t, states, 3)
		assert.NoError(t, states["http://"+ns1])
		assert.ErrorIs(t, states["http://"+ns2], conf.ErrDenied)
		assert.ErrorContains(t, states["http://"+ns3], "refused")

		n.kill(ns1)
		n.serve(t, ns3, NewRegistry())
		time.Sleep(DefaultLease)
		states = c.Registrations()
		assert.ErrorContains(t, states["http://"+ns1], "refused")
		assert.NoError(t, states["http://"+ns3])
		stop()
		assert.Empty(t, c.Registrations())
	})
}
