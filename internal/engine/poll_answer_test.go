package engine

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// polled returns the polls of a server with a set that two of them are on, and a
// state in which each of its keys has been published.
func polled(t *testing.T) (*polls, *keySet) {
	cfg := DefaultConfig()
	e := newEngine(t.Context(), nil, &cfg)
	keys := []conf.Key{conf.NewKey("", "a"), conf.NewKey("", "b")}
	set, err := e.polls.sets.Acquire(keySetName{hash: conf.HashKeys(keys)}, keys, nil, "host")
	require.NoError(t, err)
	_, err = e.polls.sets.Acquire(keySetName{hash: conf.HashKeys(keys)}, nil, nil, "host")
	require.NoError(t, err)
	st := &state{index: newIndex(nil), position: conf.Position{Revision: 6}}
	st.index.put(testRecord("a", 5, "a"))
	st.index.put(testRecord("b", 6, "b"))
	e.served.state.Store(st)
	for _, k := range keys {
		r := st.index.get(k)
		e.served.contents.put(r, k.DataID)
	}
	return e.polls, set
}

// Callers that know the set up to the same position share an answer. A caller that holds
// something else does not, because the answer would have too few or too many keys for it.
func TestAnswersOfHeldKeysAreNotShared(t *testing.T) {
	p, set := polled(t)
	holds := &query{set: set, position: conf.Position{Revision: 4}, held: []heldAt{{revision: 5, place: 0}}}
	holds.held[0].digest, _ = digestOf(conf.MD5Hex("a"))
	resp, err := p.compare(context.Background(), holds)
	require.NoError(t, err)
	require.Len(t, resp.Changed, 1)
	assert.Nil(t, set.Answer.Load(), "of who holds one of the keys")

	resp, err = p.compare(context.Background(), &query{set: set, position: conf.Position{Revision: 4}})
	require.NoError(t, err)
	require.Len(t, resp.Changed, 2)
	require.NotNil(t, set.Answer.Load())
	again, err := p.compare(context.Background(), &query{set: set, position: conf.Position{Revision: 4}})
	require.NoError(t, err)
	assert.Same(t, resp, again)
	later, err := p.compare(context.Background(), &query{set: set, position: conf.Position{Revision: 5}})
	require.NoError(t, err)
	assert.Len(t, later.Changed, 1, "who knows the first change is not told of it")
}

// Shared answers are dropped, so that they do not keep contents for ever.
func TestSharedAnswersAreLetGo(t *testing.T) {
	p, set := polled(t)
	_, err := p.compare(context.Background(), &query{set: set, position: conf.Position{Revision: 4}})
	require.NoError(t, err)
	require.NotNil(t, set.Answer.Load())
	p.sets.Expire()
	assert.Nil(t, set.Answer.Load())
}
