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

func TestSubscribe_WaitWithinTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		client := newClient(t, c)
		var sub *diamond.Subscription
		subscribed := make(chan struct{})
		calls := 0
		sub, err := client.Subscribe(keyA, diamond.ListenerFunc(func(ctx context.Context, _ conf.Config) error {
			<-subscribed
			c.set(keyA, "two") // something newer does not matter
			start := time.Now()
			assert.NoError(t, sub.Wait(ctx))
			assert.Zero(t, time.Since(start))
			calls++
			return nil
		}))
		require.NoError(t, err)
		close(subscribed)
		require.NoError(t, sub.Wait(t.Context()))
		settle()
		assert.Equal(t, 2, calls)
	})
}
