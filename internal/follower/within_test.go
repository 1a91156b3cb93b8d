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

func TestSubscribe_WaitWithinTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)
		var sub *diamond.Subscription
		subscribed := make(chan struct{})
		calls := 0
		sub, err := client.Subscribe(clienttest.KeyA, diamond.ListenerFunc(func(ctx context.Context, _ conf.Config) error {
			<-subscribed
			c.Set(clienttest.KeyA, "two") // something newer does not matter
			start := time.Now()
			assert.NoError(t, sub.Wait(ctx))
			assert.Zero(t, time.Since(start))
			calls++
			return nil
		}))
		require.NoError(t, err)
		close(subscribed)
		require.NoError(t, sub.Wait(t.Context()))
		clienttest.Settle()
		assert.Equal(t, 2, calls)
	})
}
