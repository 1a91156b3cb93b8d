package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func testRecord(id string, revision int64, content string) *record {
	k := conf.NewKey("", id)
	return &record{Entry: conf.Entry{Key: k, MD5: conf.MD5Hex(content), Size: int64(len(content)), Revision: revision, View: revision}}
}

func TestIndexKeepsTheNewest(t *testing.T) {
	ix := newIndex(nil)
	first, second := testRecord("a", 1, "1"), testRecord("a", 2, "2")
	gone := &record{Entry: conf.Entry{Key: conf.NewKey("", "a"), Revision: 3}, deleted: true}
	old, ok := ix.put(first)
	assert.True(t, ok)
	assert.Nil(t, old)
	old, ok = ix.put(second)
	assert.True(t, ok)
	assert.Same(t, first, old)
	_, ok = ix.put(first)
	assert.False(t, ok, "nothing goes back")
	_, ok = ix.put(testRecord("a", 2, "2"))
	assert.False(t, ok, "nor is the same taken again")
	assert.Same(t, second, ix.get(conf.NewKey("", "a")))
	assert.EqualValues(t, 1, ix.live.Load())
	ix.put(gone)
	assert.Zero(t, ix.live.Load())
	ix.put(testRecord("a", 4, "4"))
	assert.EqualValues(t, 1, ix.live.Load())
	ix.forget(1)
	assert.EqualValues(t, 4, ix.get(conf.NewKey("", "a")).Revision, "a tombstone published over is not the key's")
	ix.put(&record{Entry: conf.Entry{Key: conf.NewKey("", "a"), Revision: 5}, deleted: true})
	ix.put(testRecord("a", 6, "6"))
	ix.put(&record{Entry: conf.Entry{Key: conf.NewKey("", "a"), Revision: 7}, deleted: true})
	ix.forget(1)
	require.NotNil(t, ix.get(conf.NewKey("", "a")), "nor is that of an earlier deletion")
	ix.forget(1)
	assert.Nil(t, ix.get(conf.NewKey("", "a")))
}

func TestIndexForgetsOldTombstones(t *testing.T) {
	ix := newIndex(nil)
	for i := range minTombs + 1 {
		assert.Zero(t, ix.surplus())
		ix.put(&record{Entry: conf.Entry{Key: conf.NewKey("", fmt.Sprint(i)), Revision: int64(i + 1)}, deleted: true})
	}
	ix.live.Store(4 * (minTombs + 1))
	require.Zero(t, ix.surplus(), "with many keys more are kept")
	ix.live.Store(0)
	n := ix.surplus()
	require.Equal(t, 1, n)
	ix.forget(n)
	assert.Equal(t, minTombs+1-n, ix.cells.Len())
	assert.Nil(t, ix.get(conf.NewKey("", "0")))
	assert.NotNil(t, ix.get(conf.NewKey("", fmt.Sprint(n))))
}

// Contents that go-cache replaces or drops must never be counted twice, or for ever.
func TestContentsCountWhatTheyHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContents(1<<20, nil)
		size := func() int64 { return c.bytes.Load() }
		one, twin := testRecord("a", 1, "12345"), testRecord("a", 1, "12345")
		c.put(one, "12345")
		c.put(one, "12345")
		c.put(twin, "12345") // the same revision, read twice
		assert.EqualValues(t, 10, size())
		c.drop(one)
		assert.EqualValues(t, 5, size())
		assert.NotNil(t, twin.cached.Load())
		time.Sleep(2 * contentTTL)
		c.put(one, "12345") // while its twin has expired and is still there
		assert.EqualValues(t, 10, size())
		c.expire()
		assert.EqualValues(t, 5, size())
		assert.Nil(t, twin.cached.Load())
		c.drop(one)
		c.drop(one)
		assert.Zero(t, size())
		assert.Zero(t, c.order.Len())
		assert.Zero(t, c.items.ItemCount())

		c.put(one, strings.Repeat("x", 1<<18))
		assert.Zero(t, size(), "a large one passes by")
	})
}

// A content that is not what the index says is never served.
func TestContentsAreVerified(t *testing.T) {
	r := testRecord("a", 1, "good")
	for _, c := range []struct {
		stored conf.Entry
		want   error
	}{
		{conf.Entry{Revision: 1, MD5: r.MD5, Content: "bad!"}, conf.ErrCorrupt},
		{conf.Entry{Revision: 1, MD5: conf.MD5Hex("other"), Content: "other"}, conf.ErrNotFound},
		{conf.Entry{Revision: 2, MD5: r.MD5, Content: "good"}, conf.ErrNotFound},
	} {
		cache := newContents(1<<20, func(conf.Key, int64) (conf.Entry, error) { return c.stored, nil })
		_, err := cache.get(context.Background(), r)
		require.ErrorIs(t, err, c.want)
		assert.NotContains(t, err.Error(), "bad!")
		assert.Zero(t, cache.bytes.Load())
	}
}

func TestTrail(t *testing.T) {
	var tr trail
	at := func(r int64, c byte) conf.Position { return conf.Position{Revision: r, Chain: conf.Chain{c}} }
	tr.restart(at(10, 1))
	for r := int64(11); r < 11+3*maxTrail; r++ {
		tr.add([]step{{to: at(r, 2)}})
	}
	assert.LessOrEqual(t, len(tr.all()), maxTrail)
	assert.False(t, tr.contradicts(at(3*maxTrail, 2)))
	assert.True(t, tr.contradicts(at(3*maxTrail, 3)))
	assert.False(t, tr.contradicts(at(11, 3)), "too long ago to tell")
}

// The changes that wait for a slow feed are bounded, because the storage has them all.
func TestOwnCommitsAreBounded(t *testing.T) {
	var o ownCommits
	committed := func(r int64, size int) conf.Result {
		return conf.Result{Position: conf.Position{Revision: r}, Changes: []conf.Change{{Revision: r, Content: strings.Repeat("x", size)}}}
	}
	for r := range int64(100) {
		o.add([]conf.Result{committed(r, 1<<20)})
		assert.LessOrEqual(t, o.bytes, int64(maxOwnBytes))
	}
	o.take()
	o.add([]conf.Result{committed(1, 10), {Err: conf.ErrConflict}, {Position: conf.Position{Revision: 1}, Replayed: true}, committed(2, 10)})
	batches := o.take()
	require.Len(t, batches, 1)
	assert.Len(t, batches[0].Changes, 2)
	assert.EqualValues(t, 2, batches[0].Position.Revision)
	o.add([]conf.Result{committed(1, 10), {Position: conf.Position{Revision: 2}}})
	assert.Empty(t, o.take(), "of one it was not told: none follows for sure")
	assert.Zero(t, o.bytes)
}
