package boltstore

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// A context that ends with a cause of the caller's, as those of errgroup and
// signal.NotifyContext do, ends a call with the context's own error: it is no
// failure of the store's.
func TestC16_ContextWithACause(t *testing.T) {
	s := open(t, t.TempDir())
	cause := errors.New("a sibling has failed")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := s.Read(ctx, key("a"), 0)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	_, err = s.Commit(ctx, []conf.ChangeSet{put("a", "1")})
	require.ErrorIs(t, err, context.Canceled)
}
