package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// emptyCopy is a copy that holds nothing.
type emptyCopy struct{ ReplicaStorage }

func (emptyCopy) At(context.Context) (conf.Position, error) { return conf.Position{}, nil }

// Entries are read from a replica up to the revision that it has reached, only in its own
// epoch, and only while it is not damaged.
func TestReplicaHasWhatItReached(t *testing.T) {
	c := &replica{log: slog.New(slog.DiscardHandler), woken: make(chan struct{}, 1)}
	st := &state{position: positionAt(9)}
	assert.False(t, c.has(st, 1), "it is not known what it has")
	c.reached(positionAt(5))
	assert.True(t, c.has(st, 5))
	assert.False(t, c.has(st, 6))
	other := &state{position: positionAt(9)}
	other.position.Epoch.Generation++
	assert.False(t, c.has(other, 5))
	c.damage(conf.Errorf(conf.ErrCorrupt, "a bit flipped"))
	assert.False(t, c.has(st, 5))
}

// One write of a copy has a few sets, and at least one.
func TestReplicaIsWrittenAFewAtATime(t *testing.T) {
	c := &replica{recent: new(recent)}
	c.recent.serveSets(4, replicaWriteBytes/2-changeOverhead)
	for at := int64(0); at < 4; at += 2 {
		next, done := c.next(positionAt(at))
		require.False(t, done)
		assert.Len(t, next.changes, 2)
		assert.Equal(t, positionAt(at+2), next.to)
	}
	for at := int64(4); at < 6; at++ { // also one that is ahead of what is served
		_, done := c.next(positionAt(at))
		assert.True(t, done)
	}
	c.recent.serveSets(1, 2*replicaWriteBytes)
	next, _ := c.next(positionAt(0))
	assert.Len(t, next.changes, 1)
}

// A replica was just rebuilt, and the storage does not have the changes that follow it. It
// is not rebuilt again without a pause, because that reads everything from the storage.
func TestReplicaIsMadeAnewOnceATry(t *testing.T) {
	c := &replica{local: emptyCopy{}, log: slog.New(slog.DiscardHandler), recent: new(recent)}
	c.recent.restart(positionAt(5))
	c.install = func(context.Context) (conf.Position, error) { return positionAt(1), nil }
	c.changes = func(ctx context.Context, after conf.Position) (conf.Batch, error) {
		if c.installs.Load() > 3 {
			return conf.Batch{}, unavailable("made too often")
		}
		return conf.Batch{}, conf.Errorf(conf.ErrCompacted, "it went")
	}
	require.ErrorIs(t, c.sync(t.Context()), conf.ErrUnavailable)
	assert.EqualValues(t, 1, c.installs.Load())
}
