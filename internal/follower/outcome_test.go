package follower_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A server that refuses a set says nothing about an earlier attempt whose answer was lost,
// and which may have been committed.
func TestD4_ARefusalDoesNotSettleAnUnknownOutcome(t *testing.T) {
	for sentinel, settled := range map[error]bool{
		conf.ErrUnauthenticated: false, conf.ErrDenied: false, conf.ErrTooLarge: false, conf.ErrInvalid: false,
		conf.ErrNoSpace: false, conf.ErrCorrupt: false, conf.ErrOtherStore: false,
		// The first may be slow, and delete what is published meanwhile.
		conf.ErrNotFound: false,
		// A conflict over a revision that has passed is one for ever.
		conf.ErrConflict: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := clienttest.NewCentre()
			client := clienttest.NewClient(t, c)
			lost := errors.New("lost")
			c.OnCommit = func(_ context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
				if err := lost; err != nil {
					lost = nil
					return nil, &conf.Error{Err: conf.ErrUnknownOutcome}
				}
				return nil, &conf.Error{Err: sentinel, Remote: true}
			}
			_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "1", IfRevision: conf.Revision(7)})
			require.ErrorIs(t, err, sentinel)
			assert.Equal(t, !settled, errors.Is(err, conf.ErrUnknownOutcome), "%v", sentinel)
		})
	}
}

// The error of a call that waited for a storage that is down says why, and not only that
// the time is over.
func TestCommit_TheReasonOfALongWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		c.OnCommit = func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
			return nil, conf.Errorf(conf.ErrUnavailable, "the database is read-only")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := client.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: "1"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.NotErrorIs(t, err, conf.ErrUnknownOutcome)
		assert.ErrorContains(t, err, "the database is read-only")
	})
}
