package boltstore

import (
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
)

// formatByte returns the first byte of the header, which an earlier program looks at.
func formatByte(t *testing.T, s *Store) (b byte) {
	t.Helper()
	require.NoError(t, s.db.View(func(tx *bolt.Tx) error {
		b = tx.Bucket([]byte(metaBucket)).Get(headerKey())[0]
		return nil
	}))
	return b
}

func systemKey() conf.Key { return conf.Key{Namespace: "_govern", Group: "g", DataID: "d"} }

// The first change that has an origin or a key of a system namespace marks the store, also
// where it is a copy, and nothing takes the mark back.
func TestMarked(t *testing.T) {
	origin := put("a", "x")
	origin.Origin = "cli"
	system := conf.ChangeSet{Drafts: []conf.Draft{{Key: systemKey(), Content: "{}"}}}
	for name, set := range map[string]conf.ChangeSet{"origin": origin, "system key": system} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.TempDir())
			require.NoError(t, err)
			defer s.Close()
			commit := func(set conf.ChangeSet) conf.Position {
				r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
				require.NoError(t, err)
				require.NoError(t, r[0].Err)
				return r[0].Position
			}
			commit(put("a", "1"))
			require.EqualValues(t, 1, formatByte(t, s))
			commit(set)
			require.EqualValues(t, 2, formatByte(t, s))
			commit(put("a", "2"))
			_, err = s.Fork(t.Context(), conf.Position{})
			require.NoError(t, err)
			require.EqualValues(t, 2, formatByte(t, s))

			replica, err := Open(t.TempDir())
			require.NoError(t, err)
			defer replica.Close()
			b, err := s.Changes(t.Context(), conf.Position{}, 1<<30)
			require.NoError(t, err)
			require.NoError(t, replica.Apply(t.Context(), b.Changes[:1], mustAt(t, s, 1)))
			require.EqualValues(t, 1, formatByte(t, replica))
			require.NoError(t, replica.Apply(t.Context(), b.Changes[1:], b.Position))
			require.EqualValues(t, 2, formatByte(t, replica))
		})
	}
	t.Run("installed", func(t *testing.T) {
		s, err := Open(t.TempDir())
		require.NoError(t, err)
		defer s.Close()
		at := conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1}, Revision: 9}
		entry := func(k conf.Key) conf.Entry {
			return conf.Entry{Key: k, Content: "x", MD5: conf.MD5Hex("x"), Size: 1, Revision: 3}
		}
		install := func(entries ...conf.Entry) {
			require.NoError(t, s.Install(t.Context(), at, func(yield func(conf.Entry, error) bool) {
				for _, e := range entries {
					if !yield(e, nil) {
						return
					}
				}
			}))
		}
		install(entry(key("a")))
		require.EqualValues(t, 1, formatByte(t, s))
		install(entry(systemKey()), entry(key("a")))
		require.EqualValues(t, 2, formatByte(t, s))
	})
}

func mustAt(t *testing.T, s *Store, revision int64) conf.Position {
	t.Helper()
	at, err := s.PositionAt(t.Context(), revision)
	require.NoError(t, err)
	return at
}
