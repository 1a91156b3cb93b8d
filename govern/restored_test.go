package govern

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// What somebody keeps of a store helps nobody after a backup of it was restored: tokens that
// were revoked since, a position, and the id of a request whose outcome was lost.
func TestRestoredStore_UnderAttack(t *testing.T) {
	dir := t.TempDir()
	live, backup := filepath.Join(dir, "live"), filepath.Join(dir, "backup")
	// on serves the store in a directory, until the end of f.
	on := func(name string, f func(s *stage, store diamond.Storage)) {
		t.Helper()
		store, err := boltstore.Open(name)
		require.NoError(t, err)
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		s := &stage{t: t}
		s.Centre, err = New(srv)
		require.NoError(t, err)
		f(s, store)
		require.NoError(t, s.Close())
		require.NoError(t, store.Close())
	}
	request := func(s *stage, id, key string) (*conf.CommitResponse, error) {
		return s.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{RequestID: id, Drafts: []conf.Draft{draftFor(t, key, id)}}})
	}
	var kept, lost *conf.CommitResponse
	var last, sealed conf.Position // of what is lost
	on(live, func(s *stage, _ diamond.Storage) {
		s.setUp(ModeClosed, append(team("a"), token("old"), &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: "token:old", Role: RoleReader}}})...)
		var err error
		kept, err = request(s, "kept", "a.daily/g/kept")
		require.NoError(t, err)
	})
	require.NoError(t, os.CopyFS(backup, os.DirFS(live)))
	on(live, func(s *stage, _ diamond.Storage) {
		retired := token("old")
		retired.Retired = true
		s.write(retired)
		var err error
		lost, err = request(s, "lost", "a.daily/g/lost")
		require.NoError(t, err)
		last = s.publish("a.daily/g/kept", "secret of the lost")
		sealed = s.judge.sealer().seal(last)
		_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("old")})
		require.ErrorIs(t, err, conf.ErrUnauthenticated)
	})
	on(backup, func(s *stage, store diamond.Storage) {
		at, err := store.Fork(t.Context(), last)
		require.NoError(t, err)
		require.NoError(t, s.door.CatchUp(t.Context()))
		prove := func(name string) error {
			_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf(name)})
			return err
		}
		for _, name := range []string{"old", "a.reader", "a.releaser"} {
			require.ErrorIs(t, prove(name), conf.ErrUnauthenticated, name)
		}
		// Who was proven before the restore, by another server, has no right either.
		for _, principal := range []string{"token:old", "token:a.reader", "token:a.releaser"} {
			_, err := s.fetch(principal, "a.daily/g/kept")
			require.ErrorIs(t, err, conf.ErrDenied, principal)
			for _, p := range []conf.Position{sealed, last, kept.Position} {
				resp, err := s.As(principal).Poll(t.Context(), s.ask(p, 0, "a.daily/g/kept"))
				if err == nil {
					require.Empty(t, resp.Changed, principal)
				}
				watch, err := s.As(principal).Changes(t.Context(), &conf.ChangesRequest{Namespace: "a.daily", After: p, Contents: true})
				require.Error(t, err, "%s %v", principal, watch)
			}
		}
		for _, id := range []string{"lost", "new"} {
			_, err = request(s, id, "a.daily/g/"+id)
			require.ErrorIs(t, err, conf.ErrDenied, id)
		}

		// The token that was revoked is taken away again before all are confirmed.
		retired := token("old")
		retired.Retired = true
		require.NoError(t, s.edit(root, retired))
		require.NoError(t, s.edit(root, &Credentials{Generation: at.Epoch.Generation}))
		require.ErrorIs(t, prove("old"), conf.ErrUnauthenticated)
		require.NoError(t, prove("a.reader"))
		require.NoError(t, prove("a.releaser"))

		// Positions of what was lost are no positions of this history.
		for name, p := range map[string]conf.Position{"sealed": sealed, "plain": last, "of the set that was lost": lost.Position} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			resp, err := s.As("token:a.reader").Poll(ctx, s.ask(p, 0, "a.daily/g/kept"))
			require.NoError(t, err, name)
			require.True(t, resp.Resync || len(resp.Changed) == 1, "%s: all is sent anew", name)
			for _, e := range resp.Changed {
				require.Equal(t, kept.Position.Revision, e.Revision, name)
			}
			watch, err := s.As("token:a.reader").Changes(ctx, &conf.ChangesRequest{Namespace: "a.daily", After: p, Contents: true})
			cancel()
			require.Error(t, err, "%s: %v", name, watch)
		}
		forged := sealed
		forged.Epoch, forged.Revision = at.Epoch, at.Revision
		resp, err := s.As("token:a.reader").Poll(t.Context(), s.ask(forged, 0, "a.daily/g/kept"))
		require.NoError(t, err)
		require.True(t, resp.Resync, "an old code is none of a new position")

		// A request whose outcome is there has it; one whose outcome was lost is done anew.
		again, err := request(s, "kept", "a.daily/g/kept")
		require.NoError(t, err)
		assert.Equal(t, kept.Position.Revision, again.Position.Revision)
		anew, err := request(s, "lost", "a.daily/g/lost")
		require.NoError(t, err)
		assert.Greater(t, anew.Position.Revision, at.Revision)
		got, err := s.fetch("token:a.reader", "a.daily/g/lost")
		require.NoError(t, err)
		assert.Equal(t, "lost", got.Entry.Content)
	})
}
