package diamond

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// emptyCopy is a copy that holds nothing.
type emptyCopy struct{ ReplicaStorage }

func (emptyCopy) At(context.Context) (Position, error) { return Position{}, nil }

// A copy that was just made, and that the storage has nothing to follow with, is
// not made anew again without a pause: each costs the storage all that it holds.
func TestReplicaIsMadeAnewOnceATry(t *testing.T) {
	c := &diskCopy{local: emptyCopy{}, log: slog.New(slog.DiscardHandler), recent: new(recent)}
	c.recent.restart(positionAt(5))
	c.install = func(context.Context) (Position, error) { return positionAt(1), nil }
	c.changes = func(ctx context.Context, after Position) (Batch, error) {
		if c.installs.Load() > 3 {
			return Batch{}, unavailable("made too often")
		}
		return Batch{}, Errorf(ErrCompacted, "it went")
	}
	require.ErrorIs(t, c.sync(t.Context()), ErrUnavailable)
	assert.EqualValues(t, 1, c.installs.Load())
}
