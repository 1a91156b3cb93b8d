package govern

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// A grant that is removed by mistake takes no value from a running program: a lost right is
// not a deletion. The program is told, keeps its value, gets nothing that is published
// meanwhile, and goes on within a minute of the grant's return.
func TestClient_AGrantThatIsRemovedTakesNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		s.publish("a.daily/g/k", "before")
		client, err := diamond.NewClient(s.As("token:a.reader"))
		require.NoError(t, err)
		defer client.Close()
		key := keyOf(t, "a.daily/g/k")

		var mu sync.Mutex
		var told []diamond.Config
		_, err = client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, c diamond.Config) error {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, c)
			return nil
		}))
		require.NoError(t, err)
		synctest.Wait()
		calls := func() []diamond.Config {
			mu.Lock()
			defer mu.Unlock()
			return append([]diamond.Config(nil), told...)
		}
		require.Len(t, calls(), 1)

		s.write(granted("a.daily"))
		s.publish("a.daily/g/k", "while it may not")
		time.Sleep(10 * time.Minute)
		got, err := client.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, "before", got.Content)
		assert.False(t, got.Deleted)
		require.ErrorIs(t, got.Refused, conf.ErrDenied)
		for _, c := range calls() {
			assert.Equal(t, "before", c.Content)
			assert.False(t, c.Deleted)
		}

		s.write(granted("a.daily", "token:a.reader", RoleReader))
		time.Sleep(time.Minute)
		got, err = client.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, "while it may not", got.Content)
		require.NoError(t, got.Refused)
		last := calls()[len(calls())-1]
		assert.Equal(t, "while it may not", last.Content)
	})
}
