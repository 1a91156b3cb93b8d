package storage_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	require.NoError(t, storage.Ended(ctx, "mystore"))
	cause := errors.New("somebody left")
	cancel(cause)
	err := storage.Ended(ctx, "mystore")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	assert.EqualError(t, err, "mystore: context canceled: somebody left")

	plain, stop := context.WithCancel(t.Context())
	stop()
	assert.EqualError(t, storage.Ended(plain, "mystore"), "mystore: context canceled")
}

func TestKeyError(t *testing.T) {
	key := conf.NewKey("g", "a")
	err := storage.KeyError(key, conf.ErrCompacted, "revision %d is no longer kept", 7)
	require.ErrorIs(t, err, conf.ErrCompacted)
	var e *conf.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, key, e.Key)
	assert.Equal(t, "revision 7 is no longer kept", e.Detail)
}
