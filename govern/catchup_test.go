package govern

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A caller that comes while a run is under way gets a later one: the run may have read the
// head before the document was committed that the caller depends on.
func TestCatchUp_ARunThatBeganAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, ended []time.Time
		c := newCatchUps(t.Context(), func(context.Context) error {
			begun = append(begun, time.Now())
			time.Sleep(300 * time.Millisecond)
			ended = append(ended, time.Now())
			return nil
		})
		first := make(chan error, 1)
		go func() { first <- c.wait(t.Context()) }()
		time.Sleep(200 * time.Millisecond)
		asked := time.Now()
		require.NoError(t, c.wait(t.Context()))
		require.NoError(t, <-first)
		require.Len(t, begun, 2)
		assert.False(t, begun[1].Before(asked))
		assert.False(t, begun[1].Before(ended[0]), "one at a time")
		assert.Equal(t, time.Now(), ended[1])
	})
}

// However many ask, all the time, one run is under way and ten begin in a second.
func TestCatchUp_TenASecondHoweverManyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, running, most atomic.Int64
		c := newCatchUps(t.Context(), func(context.Context) error {
			runs.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Millisecond)
			running.Add(-1)
			return nil
		})
		start := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for time.Since(start) < 10*time.Second {
					assert.NoError(t, c.wait(t.Context()))
				}
			})
		}
		all.Wait()
		assert.InDelta(t, 100, runs.Load(), 2)
		assert.EqualValues(t, 1, most.Load())
	})
}

// The first who asks waits for nobody.
func TestCatchUp_AtOnceWhereNobodyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatchUps(t.Context(), func(context.Context) error { return nil })
		for range 3 {
			start := time.Now()
			require.NoError(t, c.wait(t.Context()))
			assert.Zero(t, time.Since(start))
			time.Sleep(catchUpGap)
		}
	})
}

// A storage that hangs holds nobody up for longer than a second, and its error reaches all.
func TestCatchUp_AStorageThatHangsOrFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		var failing atomic.Bool // and not hanging
		c := newCatchUps(t.Context(), func(ctx context.Context) error {
			if !failing.Load() {
				<-ctx.Done()
			}
			return down
		})
		for range 3 {
			start := time.Now()
			assert.Error(t, c.wait(t.Context()))
			assert.Equal(t, catchUpTime, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, c.wait(ctx), context.DeadlineExceeded)
		time.Sleep(time.Minute) // all runs end
		failing.Store(true)
		assert.ErrorIs(t, c.wait(t.Context()), down)
	})
}
