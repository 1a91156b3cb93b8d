package boltstore

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store in dir.
func open(t *testing.T, dir string, opts ...Option) *Store {
	t.Helper()
	s, err := Open(dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStorage(t *testing.T) {
	storagetest.Run(t,
		func(t *testing.T) diamond.Storage { return open(t, t.TempDir()) },
		storagetest.Reopen(func(t *testing.T, s diamond.Storage) diamond.Storage {
			dir := s.(*Store).dir
			require.NoError(t, s.Close())
			return open(t, dir)
		}),
		storagetest.Replica(func(t *testing.T) storagetest.Copy { return open(t, t.TempDir()) }),
		storagetest.Retention(func(t *testing.T, r storage.Retention) storagetest.Pruned {
			return open(t, t.TempDir(), WithRetention(r))
		}),
	)
}
