package diamond

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// queued returns a queue of n change sets of so many changes, each with a content
// of size bytes.
func queued(t *testing.T, n, changes, size int) *commits {
	q := newCommits(1 << 20)
	for i := range n {
		set := &ChangeSet{}
		for j := range changes {
			set.Drafts = append(set.Drafts, Draft{Key: NewKey("", fmt.Sprint(i, ".", j)), Content: strings.Repeat("x", size)})
		}
		_, err := q.add(set)
		require.NoError(t, err)
	}
	return q
}

// A transaction is bounded in sets, changes and bytes, as other servers wait for it.
func TestBatchIsBounded(t *testing.T) {
	assert.Len(t, queued(t, maxBatchSets+1, 1, 1).take(), maxBatchSets)
	assert.Len(t, queued(t, 10, MaxChanges, 1).take(), maxBatchChanges/MaxChanges)
	assert.Len(t, queued(t, 10, 1, maxBatchBytes/4).take(), 4)

	large := queued(t, 2, 1, maxBatchBytes+1)
	assert.Len(t, large.take(), 1, "one set may have more bytes than that")
	assert.Len(t, large.take(), 1)
	assert.Zero(t, large.bytes)
}

// What waits to be committed when the server is closed is refused, and so is what comes.
func TestClosedQueueAnswersAll(t *testing.T) {
	q := queued(t, 3, 1, 1)
	waiting := q.queue
	q.close()
	for _, c := range waiting {
		<-c.done
		require.ErrorIs(t, c.result.Err, ErrClosed)
	}
	_, err := q.add(waiting[0].set)
	require.ErrorIs(t, err, ErrClosed)
}

// What waits to be committed is bounded in bytes; what left the queue counts no more.
func TestCommitQueueIsBoundedInBytes(t *testing.T) {
	const size = 32 << 20
	q := queued(t, maxQueueBytes/size, 1, size)
	more := &ChangeSet{Drafts: []Draft{{Key: NewKey("", "more"), Content: "x"}}}
	_, err := q.add(more)
	require.ErrorIs(t, err, ErrOverloaded)
	require.True(t, q.remove(q.queue[0]))
	_, err = q.add(more)
	require.NoError(t, err)
}

// polled returns a server's table of sets with one that two polls are on, and a
// state in which each of its keys has been published.
func polled(t *testing.T) (*server, *keySet) {
	s := newServer(nil, defaultServerConfig())
	s.contents = newContents(1 << 20)
	keys := []Key{NewKey("", "a"), NewKey("", "b")}
	set, err := s.keySets.acquire(HashKeys(keys), keys, nil, "host")
	require.NoError(t, err)
	_, err = s.keySets.acquire(HashKeys(keys), nil, nil, "host")
	require.NoError(t, err)
	st := &state{index: newIndex(nil), position: Position{Revision: 6}}
	st.index.put(testRecord("a", 5, "a"))
	st.index.put(testRecord("b", 6, "b"))
	s.state.Store(st)
	for _, k := range keys {
		r := st.index.get(k)
		s.contents.put(r, k.DataID)
	}
	return s, set
}

// An answer is shared among those who know the set up to the same position, and
// by nobody who holds something else: it would be told too little or too much.
func TestAnswersOfHeldKeysAreNotShared(t *testing.T) {
	s, set := polled(t)
	holds := &query{set: set, position: Position{Revision: 4}, held: []heldAt{{revision: 5, place: 0}}}
	holds.held[0].digest, _ = digestOf(MD5Hex("a"))
	resp, err := s.compare(context.Background(), holds)
	require.NoError(t, err)
	require.Len(t, resp.Changed, 1)
	assert.Nil(t, set.answer.Load(), "of who holds one of the keys")

	resp, err = s.compare(context.Background(), &query{set: set, position: Position{Revision: 4}})
	require.NoError(t, err)
	require.Len(t, resp.Changed, 2)
	require.NotNil(t, set.answer.Load())
	again, err := s.compare(context.Background(), &query{set: set, position: Position{Revision: 4}})
	require.NoError(t, err)
	assert.Same(t, resp, again)
	later, err := s.compare(context.Background(), &query{set: set, position: Position{Revision: 5}})
	require.NoError(t, err)
	assert.Len(t, later.Changed, 1, "who knows the first change is not told of it")
}

// Shared answers are let go, lest they hold contents for ever.
func TestSharedAnswersAreLetGo(t *testing.T) {
	s, set := polled(t)
	_, err := s.compare(context.Background(), &query{set: set, position: Position{Revision: 4}})
	require.NoError(t, err)
	require.NotNil(t, set.answer.Load())
	s.keySets.expire()
	assert.Nil(t, set.answer.Load())
}
