package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNext_FullJitterWithinDoublingWindow(t *testing.T) {
	var b Backoff
	window := DefaultBase
	seen := map[time.Duration]bool{}
	for range 12 {
		d := b.Next(0)
		assert.GreaterOrEqual(t, d, time.Duration(0))
		assert.Less(t, d, window)
		seen[d] = true
		window = min(2*window, DefaultCap)
	}
	assert.Greater(t, len(seen), 10, "pauses are random")
	b.Reset()
	assert.Less(t, b.Next(0), DefaultBase)
}

func TestNext_RetryAfterIsObeyedAndSpread(t *testing.T) {
	var b Backoff
	for range 20 {
		b.Reset()
		d := b.Next(3 * time.Second)
		assert.GreaterOrEqual(t, d, 3*time.Second)
		assert.Less(t, d, 3*time.Second+DefaultBase)
	}
	b.Reset()
	assert.Less(t, b.Next(24*time.Hour), MaxRetryAfter+DefaultBase, "no server sends a client away for good")
	assert.Less(t, b.Next(-time.Hour), DefaultCap)
}

func TestWait_EndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var b Backoff
		start := time.Now()
		require.ErrorIs(t, b.Wait(ctx, time.Minute), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, Sleep(ctx, 0), context.DeadlineExceeded, "an ended context wins over no pause")

		start = time.Now()
		require.NoError(t, Sleep(t.Context(), time.Minute))
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestJitter(t *testing.T) {
	for range 100 {
		d := Jitter(10*time.Second, 0.1)
		assert.GreaterOrEqual(t, d, 9*time.Second)
		assert.LessOrEqual(t, d, 11*time.Second)
	}
}
