package govern

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Rights work the same on each storage, at two servers that share it and after a restart.
func TestRightsOnEachStorage(t *testing.T) {
	for name, openStore := range map[string]func(t *testing.T) diamond.Storage{
		"memstore": func(*testing.T) diamond.Storage { return memstore.New() },
		"boltstore": func(t *testing.T) diamond.Storage {
			store, err := boltstore.Open(filepath.Join(t.TempDir(), "data"))
			require.NoError(t, err)
			return store
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t)
			t.Cleanup(func() { require.NoError(t, store.Close()) })
			a := open(t, store)
			a.setUp(ModeClosed)
			b := open(t, store, diamond.WithFeedInterval(time.Hour))
			a.write(team("a")...)
			p, err := b.Prove(t.Context(), conf.Proof{Token: secretOf("a.releaser")})
			require.NoError(t, err)
			req := &conf.CommitRequest{Set: conf.ChangeSet{RequestID: "r", Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}, Origin: "cli"}}
			first, err := b.As(p.Name).Commit(t.Context(), req)
			require.NoError(t, err)
			at := a.judge.sealer().seal(a.write(granted("a.daily", "token:a.reader", RoleReader)))
			require.ErrorIs(t, b.release(p.Name, "a.daily/g/k", "too late"), conf.ErrDenied)
			again, err := b.As(p.Name).Commit(t.Context(), req)
			require.NoError(t, err)
			assert.Equal(t, first.Position, again.Position)

			restarted := open(t, store)
			_, err = restarted.fetch(p.Name, "a.daily/g/k")
			isDenied(t, err, "a.daily")
			resp := restarted.poll("token:a.reader", restarted.ask(conf.Position{}, 0, "a.daily/g/k"))
			require.Len(t, resp.Changed, 1)
			watch, err := restarted.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: "*", After: at})
			require.NoError(t, err, "a position of before the restart is known")
			assert.Empty(t, watch.Changes)
			resp = restarted.poll("token:a.reader", restarted.ask(at, 0, "a.daily/g/k"))
			assert.False(t, resp.Resync)
			assert.Empty(t, resp.Changed)
		})
	}
}
