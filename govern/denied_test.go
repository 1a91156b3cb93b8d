package govern

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A deny file takes every right of a principal, while the storage is away too, and ends its
// polls.
func TestDenyFile_TakesEveryRight(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deny")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	synctest.Test(t, func(t *testing.T) {
		deny, err := ReadDenyFile(path, nil)
		require.NoError(t, err)
		storage := &stopped{Store: memstore.New()}
		srv, err := diamond.NewServer(storage)
		require.NoError(t, err)
		s := &stage{t: t, log: &clienttest.Logs{}}
		s.Centre, err = New(srv, WithDenyFile(deny))
		require.NoError(t, err)
		defer s.Close()
		s.setUp(ModeClosed, team("a")...)
		s.publish("a.daily/g/k", "v")
		at := s.poll("token:a.releaser", s.ask(conf.Position{}, 0, "a.daily/g/k")).Position
		parked := s.park("token:a.releaser", s.ask(at, time.Minute, "a.daily/g/k"))
		other := s.park("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k"))
		storage.stop(true)
		require.NoError(t, os.WriteFile(path, []byte("token:a.releaser\nuser:root\n"), 0o600))
		deny.Reload()
		assert.True(t, (<-parked).Resync)
		assert.Len(t, s.poll("token:a.releaser", s.ask(at, time.Minute, "a.daily/g/k")).Denied, 1)
		_, err = s.fetch("token:a.releaser", "a.daily/g/k")
		isDenied(t, err, "a.daily")
		storage.stop(false)
		time.Sleep(10 * time.Second)
		isDenied(t, s.release("token:a.releaser", "a.daily/g/k", "w"), "a.daily")
		require.ErrorIs(t, s.edit(root, token("new")), conf.ErrDenied)
		_, err = s.As(root).List(t.Context(), &conf.ListRequest{Namespace: SystemNamespace})
		require.ErrorIs(t, err, conf.ErrDenied)
		assert.Empty(t, s.listed(root, conf.ListRequest{Namespace: "*"}))
		assert.False(t, (<-other).Resync, "nobody else is disturbed")
	})
}
