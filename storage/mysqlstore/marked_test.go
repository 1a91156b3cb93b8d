package mysqlstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// The first change that has an origin or a key of a system namespace marks the store, also
// where it is a copy. An earlier program that runs takes the longer id for a damaged one.
// A later format is refused.
func TestMarked(t *testing.T) {
	system := conf.Key{Namespace: "_govern", Group: "g", DataID: "d"}
	origin := put("a", "x")
	origin.Origin = "cli"
	document := conf.ChangeSet{Drafts: []conf.Draft{{Key: system, Content: "{}"}}}
	for name, set := range map[string]conf.ChangeSet{"origin": origin, "system key": document} {
		t.Run(name, func(t *testing.T) {
			dsn := mariadbtest.Database(t)
			_, err := Migrate(t.Context(), mariadbtest.Connect(t, dsn))
			require.NoError(t, err)
			s := open(t, dsn)
			length := func(dsn string) (n int) {
				t.Helper()
				require.NoError(t, raw(t, dsn).QueryRowContext(t.Context(), "SELECT LENGTH(store) FROM diamond_counter").Scan(&n))
				return n
			}
			commit(t, s, put("a", "1"))
			require.Equal(t, 16, length(dsn))
			at := commit(t, s, set)
			require.Equal(t, 17, length(dsn))
			head := commit(t, s, put("a", "2"))
			require.Equal(t, at.Store, head.Store)
			require.Equal(t, 17, length(dsn))

			other := mariadbtest.Database(t)
			_, err = Migrate(t.Context(), mariadbtest.Connect(t, other))
			require.NoError(t, err)
			replica := open(t, other)
			b, err := s.Changes(t.Context(), conf.Position{}, 1<<30)
			require.NoError(t, err)
			first, err := s.PositionAt(t.Context(), 1)
			require.NoError(t, err)
			require.NoError(t, replica.Apply(t.Context(), b.Changes[:1], first))
			require.Equal(t, 16, length(other))
			require.NoError(t, replica.Apply(t.Context(), b.Changes[1:], b.Position))
			require.Equal(t, 17, length(other))
			install := func(k conf.Key) {
				require.NoError(t, replica.Install(t.Context(), head, func(yield func(conf.Entry, error) bool) {
					yield(conf.Entry{Key: k, Content: "x", MD5: conf.MD5Hex("x"), Size: 1, Revision: 3}, nil)
				}))
			}
			install(key("a"))
			require.Equal(t, 16, length(other))
			install(system)
			require.Equal(t, 17, length(other))

			exec(t, raw(t, dsn), "UPDATE diamond_counter SET store = CONCAT(LEFT(store, 16), CHAR(3))")
			_, err = s.Changes(t.Context(), head, 1)
			require.ErrorContains(t, err, "format 3")
			_, err = s.Commit(t.Context(), []conf.ChangeSet{put("a", "3")})
			require.ErrorContains(t, err, "format 3")
			_, err = s.Scan(t.Context(), conf.ScanRequest{Limit: 1})
			require.ErrorContains(t, err, "format 3")
		})
	}
}

// An id that ends in zeros survives the migration that makes its column longer, and a program
// of schema version 1 that still runs can write.
func TestMigrateFromVersion1(t *testing.T) {
	db := mariadbtest.Connect(t, mariadbtest.Database(t))
	all, err := allMigrations()
	require.NoError(t, err)
	exec(t, db, all[0].statements()...)
	exec(t, db, `INSERT INTO diamond_counter VALUES (1, X'01000000000000000000000000000000', 0, 0, 1, REPEAT(CHAR(1), 16),
		REPEAT(CHAR(0), 32), 0, 0, 0, 1, REPEAT(CHAR(1), 16), REPEAT(CHAR(0), 32), 0, 0, 0)`)
	applied, err := Migrate(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, []string{"0002_marked.sql"}, applied)
	exec(t, db, `INSERT INTO diamond_change (revision, number, set_size, op, namespace, grp, data_id, type, md5, sha256, size, meta, author, address,
		comment, time_us, generation, epoch, chain, ordinal, log_changes, log_bytes, content)
		VALUES (1, 0, 1, 2, 'public', 'g', 'd', '', '', REPEAT(CHAR(0), 32), 0, '', '', '', '', 0, 1, REPEAT(CHAR(1), 16), REPEAT(CHAR(2), 32), 1, 1, 0, '')`,
		"UPDATE diamond_counter SET revision = 1, chain = REPEAT(CHAR(2), 32), log_changes = 1")
	s, err := New(t.Context(), db, WithLogger(quiet()))
	require.NoError(t, err)
	defer s.Close()
	at, err := s.PositionAt(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, conf.StoreID{1}, at.Store)
	changes, err := s.History(t.Context(), conf.Key{Namespace: "public", Group: "g", DataID: "d"}, 0, 9)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Empty(t, changes[0].Origin)
}
