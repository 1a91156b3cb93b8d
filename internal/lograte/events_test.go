package lograte

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestOneASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Events
		others, ok := e.Log()
		assert.True(t, ok, "the first one")
		assert.Zero(t, others)
		for range 99 {
			time.Sleep(10 * time.Millisecond)
			_, ok = e.Log()
			assert.False(t, ok)
		}
		time.Sleep(10 * time.Millisecond)
		others, ok = e.Log()
		assert.True(t, ok, "a second later")
		assert.EqualValues(t, 99, others)
		time.Sleep(time.Hour)
		others, ok = e.Log()
		assert.True(t, ok)
		assert.Zero(t, others)
	})
}

// However many happen at once, one is logged and all are counted.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Events
		var logged, counted atomic.Int64
		for range 10 {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if others, ok := e.Log(); ok {
						logged.Add(1)
						counted.Add(others)
					}
				})
			}
			all.Wait()
			time.Sleep(Every)
		}
		others, ok := e.Log()
		assert.True(t, ok)
		assert.EqualValues(t, 10, logged.Load())
		assert.EqualValues(t, 1000, logged.Load()+counted.Load()+others)
	})
}

// Nor is more logged where many goroutines hold each other up.
func TestManyThatAreHeldUp(t *testing.T) {
	var e Events
	var logged atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for range 64 {
		all.Go(func() {
			for time.Since(begun) < Every/2 {
				if _, ok := e.Log(); ok {
					logged.Add(1)
				}
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, logged.Load(), int64(time.Since(begun)/Every)+1)
}
