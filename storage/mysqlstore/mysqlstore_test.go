package mysqlstore

import (
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mariadbtest.Main(m)) }

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func quiet() *slog.Logger { return textLogger(io.Discard) }

// open opens the store in the database of dsn, and makes it where there is none.
func open(t testing.TB, dsn string, opts ...Option) *Store {
	t.Helper()
	opts = append([]Option{WithMigrate(), WithLogger(quiet())}, opts...)
	s, err := Open(t.Context(), dsn, opts...)
	for range 5 { // it had some seconds to answer, and the machine may have stalled
		if !errors.Is(err, conf.ErrUnavailable) {
			break
		}
		s, err = Open(t.Context(), dsn, opts...)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStorage(t *testing.T) {
	dsns := make(map[diamond.Storage]string)
	fresh := func(t *testing.T, opts ...Option) *Store {
		dsn := mariadbtest.Database(t)
		s := open(t, dsn, opts...)
		dsns[s] = dsn
		return s
	}
	storagetest.Run(t,
		func(t *testing.T) diamond.Storage { return fresh(t) },
		storagetest.Reopen(func(t *testing.T, s diamond.Storage) diamond.Storage {
			require.NoError(t, s.Close())
			again := open(t, dsns[s])
			dsns[again] = dsns[s]
			return again
		}),
		storagetest.Replica(func(t *testing.T) storagetest.Copy { return fresh(t) }),
		storagetest.Retention(func(t *testing.T, r storage.Retention) storagetest.Pruned {
			return fresh(t, WithRetention(r))
		}),
	)
}
