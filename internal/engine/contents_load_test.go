package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// busyContents returns contents of which as many are being loaded as may be, and
// how often its source has been asked.
func busyContents(t *testing.T) (c *contents, asked *int) {
	asked = new(int)
	c = newContents(1<<20, func(conf.Key, int64) (conf.Entry, error) {
		*asked++
		return conf.Entry{}, unavailable("cut off")
	})
	for range maxLoads {
		require.NoError(t, c.turn())
	}
	return c, asked
}

// However many callers ask while a storage hangs, only few loads wait for their turn, and
// none of these waits for long.
func TestLoadsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, asked := busyContents(t)
		begun := time.Now()
		_, err := c.get(context.Background(), testRecord("a", 1, "x"))
		require.ErrorIs(t, err, conf.ErrOverloaded)
		assert.Equal(t, loadWait, time.Since(begun))
		assert.Zero(t, *asked)
		assert.Zero(t, c.queued.Load())

		c.queued.Store(maxLoadQueue)
		begun = time.Now()
		require.ErrorIs(t, c.turn(), conf.ErrOverloaded)
		assert.Zero(t, time.Since(begun), "it does not wait")
		assert.EqualValues(t, maxLoadQueue, c.queued.Load())
	})
}

// A load that waits begins when another ends, and then makes room for one more.
func TestLoadsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, asked := busyContents(t)
		c.queued.Store(maxLoadQueue - 1)
		failed := make(chan error, 1)
		go func() {
			_, err := c.get(context.Background(), testRecord("a", 1, "x"))
			failed <- err
		}()
		synctest.Wait()
		assert.Zero(t, *asked)
		c.turned()
		require.ErrorIs(t, <-failed, conf.ErrUnavailable)
		assert.Equal(t, 1, *asked)
		assert.EqualValues(t, maxLoadQueue-1, c.queued.Load())
		require.NoError(t, c.turn(), "the turn was given back")
	})
}
