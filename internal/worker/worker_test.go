package worker

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWake_ManyAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, at, most atomic.Int32
		w := New(func(context.Context) {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Second)
			at.Add(-1)
			calls.Add(1)
		})
		for range 100 {
			go w.Wake()
		}
		time.Sleep(10 * time.Second)
		assert.LessOrEqual(t, calls.Load(), int32(2))
		assert.Equal(t, int32(1), most.Load(), "calls do not overlap")

		before := calls.Load()
		w.Wake()
		time.Sleep(time.Second / 2)
		w.Wake()
		w.Wake()
		time.Sleep(10 * time.Second)
		assert.Equal(t, before+2, calls.Load(), "one for the first, one for those during the call")
		<-w.Halt()
	})
}

func TestIdleHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var workers []*Worker
		before := runtime.NumGoroutine()
		for range 1000 {
			w := New(func(context.Context) {})
			w.Wake()
			workers = append(workers, w)
		}
		synctest.Wait()
		assert.LessOrEqual(t, runtime.NumGoroutine(), before+1)
		for _, w := range workers {
			<-w.Halt()
		}
	})
}

func TestHalt_WaitsForTheCallAndEndsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returned := false
		w := New(func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			returned = true
		})
		w.Wake()
		synctest.Wait()
		<-w.Halt()
		assert.True(t, returned)
		<-w.Halt()
		w.Wake()
		synctest.Wait()
	})
}

func TestHalt_FromWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *Worker
		calls := 0
		w = New(func(ctx context.Context) {
			calls++
			w.Wake()
			<-w.Halt()
			assert.Error(t, ctx.Err())
		})
		w.Wake()
		synctest.Wait()
		assert.Equal(t, 1, calls)
	})
}

func TestACallThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		w := New(func(context.Context) {
			if calls++; calls == 1 {
				runtime.Goexit()
			}
		})
		w.Wake()
		synctest.Wait()
		w.Wake()
		synctest.Wait()
		assert.Equal(t, 2, calls)
		<-w.Halt()
	})
}

func TestGoroutineID(t *testing.T) {
	own := goroutineID()
	assert.NotZero(t, own)
	assert.Equal(t, own, goroutineID())
	other := make(chan uint64)
	go func() { other <- goroutineID() }()
	assert.NotEqual(t, own, <-other)
}
