package groupcommit

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	errClosed   = errors.New("closed")
	errTooMany  = errors.New("too many")
	errTooLarge = errors.New("too large")

	limits = Limits{Inflight: 1000, QueueBytes: 1000, BatchItems: 8, BatchChanges: 40, BatchBytes: 100}
)

func newQueue() *Queue[int, error] {
	return New[int, error](limits, Errors{
		Closed:   func() error { return errClosed },
		TooMany:  func(int) error { return errTooMany },
		TooLarge: func(int64) error { return errTooLarge },
	})
}

// queued returns a queue of n items, each of so many changes and bytes.
func queued(t *testing.T, n, changes int, bytes int64) *Queue[int, error] {
	q := newQueue()
	for i := range n {
		_, err := q.Add(i, changes, bytes)
		require.NoError(t, err)
	}
	return q
}

// A transaction is bounded in sets, changes and bytes, as other servers wait for it.
func TestBatchIsBounded(t *testing.T) {
	assert.Len(t, queued(t, limits.BatchItems+1, 1, 1).Next(), limits.BatchItems)
	assert.Len(t, queued(t, limits.BatchItems, 10, 1).Next(), limits.BatchChanges/10)
	assert.Len(t, queued(t, limits.BatchItems, 1, limits.BatchBytes/4).Next(), 4)

	large := queued(t, 2, limits.BatchChanges+1, limits.BatchBytes+1)
	assert.Len(t, large.Next(), 1, "one item may have more than that")
	assert.Len(t, large.Next(), 1)
	assert.Zero(t, large.bytes)
}

// What waits to be committed when the server is closed is refused, and so is what comes.
func TestClosedQueueAnswersAll(t *testing.T) {
	q := queued(t, 3, 1, 1)
	waiting := q.items
	q.Close(errClosed)
	for _, i := range waiting {
		<-i.Done()
		require.ErrorIs(t, i.Result(), errClosed)
	}
	_, err := q.Add(1, 1, 1)
	require.ErrorIs(t, err, errClosed)
	assert.Nil(t, q.Next())
}

// What waits to be committed is bounded in bytes; what left the queue counts no more.
func TestCommitQueueIsBoundedInBytes(t *testing.T) {
	q := queued(t, 10, 1, limits.QueueBytes/10)
	_, err := q.Add(10, 1, 1)
	require.ErrorIs(t, err, errTooLarge)
	first := q.items[0]
	require.True(t, q.Remove(first))
	require.False(t, q.Remove(first))
	_, err = q.Add(10, 1, 1)
	require.NoError(t, err)

	_, err = newQueue().Add(1, 1, 2*limits.QueueBytes)
	require.NoError(t, err, "one item alone may have more")
}

func TestCallersInFlightAreBounded(t *testing.T) {
	q := queued(t, limits.Inflight, 1, 0)
	_, err := q.Add(1, 1, 0)
	require.ErrorIs(t, err, errTooMany)
	q.Next()
	_, err = q.Add(1, 1, 0)
	require.ErrorIs(t, err, errTooMany, "it is taken up, and its caller still waits")
	q.Leave()
	assert.Equal(t, limits.Inflight-1, q.Len())
	_, err = q.Add(1, 1, 0)
	require.NoError(t, err)
}

// ended returns a queue whose last batch had n items and took a second, and n callers
// who still wait.
func ended(t *testing.T, n int) *Queue[int, error] {
	q := queued(t, n, 1, 1)
	require.Len(t, q.Next(), n)
	q.End(n, time.Second)
	return q
}

// After a batch of several the next one waits for all callers to come back.
func TestNextWaitsForThoseWhoComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ended(t, 4)
		for i := range 4 {
			q.Leave()
			time.AfterFunc(time.Duration(i)*time.Millisecond, func() { _, _ = q.Add(i, 1, 1) })
		}
		assert.Len(t, q.Next(), 4)
		q.End(1, time.Second)
		_, err := q.Add(4, 1, 1)
		require.NoError(t, err)
		begun := time.Now()
		assert.Len(t, q.Next(), 1)
		assert.Zero(t, time.Since(begun), "after a batch of one nobody is waited for")
	})
}

// Callers who take longer than that make the next batches wait for half of them only.
func TestNextWaitsForHalfAfterALateOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ended(t, 4)
		for range 2 {
			q.Leave()
			_, err := q.Add(1, 1, 1)
			require.NoError(t, err)
		}
		begun := time.Now()
		assert.Len(t, q.Next(), 2)
		assert.Equal(t, maxGatherTime, time.Since(begun), "the others did not come")
		for range halfBatches {
			q.End(2, time.Second)
			for range 2 {
				q.Leave()
				_, err := q.Add(1, 1, 1)
				require.NoError(t, err)
			}
			begun = time.Now()
			assert.Len(t, q.Next(), 2)
			assert.Zero(t, time.Since(begun))
		}
		q.End(2, time.Second)
		_, err := q.Add(1, 1, 1)
		require.NoError(t, err)
		begun = time.Now()
		q.Next()
		assert.Equal(t, maxGatherTime, time.Since(begun), "then all are expected again")
	})
}

// An item may leave while a batch is gathered; the batch is of those that stay.
func TestNextSkipsWhatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := ended(t, 2)
		i, err := q.Add(1, 1, 1)
		require.NoError(t, err)
		taken := make(chan int)
		go func() { taken <- q.Next()[0].Value }()
		synctest.Wait() // it waits for a second item
		require.True(t, q.Remove(i))
		time.Sleep(time.Second)
		_, err = q.Add(2, 1, 1)
		require.NoError(t, err)
		assert.Equal(t, 2, <-taken)
	})
}
