package coalesce

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueue_LatestOfEachKey(t *testing.T) {
	q := New[string, int]()
	q.Put("a", 1)
	q.Put("a", 2)
	q.Put("b", 3)
	q.Put("c", 4)
	q.Drop("c")
	taken := q.Take()
	assert.Equal(t, map[string]int{"a": 2, "b": 3}, taken)
	q.Put("a", 5)
	q.PutBack(taken)
	assert.Equal(t, map[string]int{"a": 5, "b": 3}, q.Take(), "what was put back is not newer")
	assert.Empty(t, q.Take())
}

func TestQueue_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New[string, int]()
		woken := make(chan error, 1)
		go func() { woken <- q.Wait(t.Context()) }()
		synctest.Wait()
		require.Empty(t, woken, "nothing to do")
		q.Put("a", 1)
		require.NoError(t, <-woken)

		q.PutBack(q.Take())
		require.NoError(t, q.Wait(t.Context()))

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, q.Wait(ctx), context.Canceled)
	})
}
