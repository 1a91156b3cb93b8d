package transport_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// committer is a server of which only Commit is asked.
type committer struct {
	diamond.Transport
	commit func() error
}

func (c committer) Commit(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
	return nil, c.commit()
}

// The first server's answer is lost, and the second one refuses the set at its
// door: that says nothing of what the first has done.
func TestD4_ARefusalDoesNotSettleAnUnknownOutcome(t *testing.T) {
	for sentinel, settled := range map[error]bool{
		conf.ErrUnauthenticated: false, conf.ErrDenied: false, conf.ErrTooLarge: false, conf.ErrInvalid: false, conf.ErrNoSpace: false,
		// The first may be slow, and delete what is published meanwhile.
		conf.ErrNotFound: false,
		// A conflict over a revision that has passed is one for ever.
		conf.ErrConflict: true,
	} {
		asked := 0
		balancer := transport.NewBalancer(transport.Static("a", "b"), func(string) (diamond.Transport, error) {
			return committer{commit: func() error {
				if asked++; asked == 1 {
					return &conf.Error{Err: conf.ErrUnknownOutcome}
				}
				return &conf.Error{Err: sentinel, Remote: true}
			}}, nil
		})
		_, err := balancer.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{
			RequestID: "r", Drafts: []conf.Draft{{Key: conf.NewKey("", "a"), IfRevision: conf.Revision(7)}},
		}})
		balancer.Close()
		require.ErrorIs(t, err, sentinel)
		assert.Equal(t, !settled, errors.Is(err, conf.ErrUnknownOutcome), "%v", sentinel)
		assert.Equal(t, 2, asked)
	}
}
