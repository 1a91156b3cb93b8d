package diamond_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

// A server that refuses a set at its door says nothing of an earlier attempt,
// whose answer was lost: that may be committed.
func TestD4_ARefusalDoesNotSettleAnUnknownOutcome(t *testing.T) {
	for sentinel, settled := range map[error]bool{
		diamond.ErrDenied: false, diamond.ErrTooLarge: false, diamond.ErrInvalid: false,
		diamond.ErrNoSpace: false, diamond.ErrCorrupt: false, diamond.ErrOtherStore: false,
		// The first may be slow, and delete what is published meanwhile.
		diamond.ErrNotFound: false,
		// A conflict over a revision that has passed is one for ever.
		diamond.ErrConflict: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCentre()
			client := newClient(t, c)
			lost := errors.New("lost")
			c.onCommit = func(_ context.Context, req *diamond.CommitRequest) (*diamond.CommitResponse, error) {
				if err := lost; err != nil {
					lost = nil
					return nil, &diamond.Error{Err: diamond.ErrUnknownOutcome}
				}
				return nil, &diamond.Error{Err: sentinel, Remote: true}
			}
			_, err := client.Publish(t.Context(), diamond.Draft{Key: keyA, Content: "1", IfRevision: diamond.Revision(7)})
			require.ErrorIs(t, err, sentinel)
			assert.Equal(t, !settled, errors.Is(err, diamond.ErrUnknownOutcome), "%v", sentinel)
		})
	}
}

// Who waits for a storage that is down is told why, not only that time is up.
func TestCommit_TheReasonOfALongWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		c.onCommit = func(context.Context, *diamond.CommitRequest) (*diamond.CommitResponse, error) {
			return nil, diamond.Errorf(diamond.ErrUnavailable, "the database is read-only")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := client.Publish(ctx, diamond.Draft{Key: keyA, Content: "1"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		assert.NotErrorIs(t, err, diamond.ErrUnknownOutcome)
		assert.ErrorContains(t, err, "the database is read-only")
	})
}
