package mysqlstore

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// pools are ways in which users make connections, with what each sets.
func pools() map[string]func(*mysql.Config) {
	return map[string]func(*mysql.Config){
		"defaults":     func(*mysql.Config) {},
		"not strict":   func(c *mysql.Config) { c.Params["sql_mode"] = "''" },
		"interpolated": func(c *mysql.Config) { c.InterpolateParams = true; c.Params["sql_mode"] = "''" },
		"no backslash": func(c *mysql.Config) {
			c.InterpolateParams = true
			c.Params["sql_mode"] = "'NO_BACKSLASH_ESCAPES,ANSI'"
		},
		"oracle, gbk": func(c *mysql.Config) {
			c.Params["sql_mode"] = "'PIPES_AS_CONCAT,ANSI_QUOTES,NO_ZERO_DATE,PAD_CHAR_TO_FULL_LENGTH'"
			_ = c.Apply(mysql.Charset("gbk", ""))
		},
		"found rows, times": func(c *mysql.Config) { c.ClientFoundRows, c.ParseTime = true, true },
	}
}

// user returns a store on a pool that is made as users make theirs, in a
// database whose text is compared without regard to case.
func user(t *testing.T, change func(*mysql.Config)) *Store {
	t.Helper()
	dsn := mariadbtest.Database(t, "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	s, err := New(t.Context(), mariadbtest.Connect(t, with(t, dsn, change)), WithMigrate(), WithLogger(quiet()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// S17: contents come back byte for byte, whatever the connections set, also
// where the database would cut a value short instead of refusing it; what is
// over the limit is refused.
func TestS17_ByteExactness(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, change := range pools() {
		t.Run(name, func(t *testing.T) {
			s := user(t, change)
			limit := int(s.MaxContent())
			contents := map[string]string{
				"empty": "", "one": "x", "64k-1": strings.Repeat("a", 64<<10-1), "64k": strings.Repeat("a", 64<<10), "64k1": strings.Repeat("a", 64<<10+1),
				"every": string(every), "quotes": `'"\'\\"` + "`", "zeros": strings.Repeat("\x00", 1<<20), "invalid": "\xff\xfe\x80\xc3", "spaces": "  a  \n\t ",
				"crlf": "a\r\n", "bom": "\xef\xbb\xbfa", "emoji": "😀", "gbk": "\xbf\x27\xbf\x5c", "comment": "-- ? /* ? */ # ?",
				"10m": strings.Repeat("\\'", 5<<20), "limit": strings.Repeat("\n", limit),
			}
			// Twice: as text, and prepared.
			for range 2 {
				for id, content := range contents {
					set := put(id, content)
					set.Drafts[0].Meta = map[string]string{"q": `'"\<>&`, "u": "läuft 😀"}
					set.Comment, set.Caller.Principal.Name = `'"\`, "a'\\b"
					commit(t, s, set)
				}
			}
			for id, content := range contents {
				e, err := s.Read(t.Context(), key(id), 0)
				require.NoError(t, err)
				require.True(t, e.Content == content, id)
				require.Equal(t, map[string]string{"q": `'"\<>&`, "u": "läuft 😀"}, e.Meta)
			}
			for _, c := range whole(t, s) { // the chain is that of what was published
				require.Equal(t, sha256.Sum256([]byte(contents[c.Key.DataID])), c.SHA256)
				require.Equal(t, "a'\\b", c.Author.Name)
			}
			r, err := s.Commit(t.Context(), []conf.ChangeSet{put("over", strings.Repeat("x", limit+1))})
			require.NoError(t, err)
			require.ErrorIs(t, r[0].Err, conf.ErrTooLarge)
			long := put("long", "x")
			long.Caller.Address = strings.Repeat("x", 5000)
			r, err = s.Commit(t.Context(), []conf.ChangeSet{long})
			require.NoError(t, err)
			require.ErrorIs(t, r[0].Err, conf.ErrInvalid, "never cut short")
		})
	}
}

// S18: keys are compared byte for byte in a database that takes a for A.
func TestS18_KeyIdentity(t *testing.T) {
	for name, change := range pools() {
		t.Run(name, func(t *testing.T) {
			s := user(t, change)
			ids := []string{"a", "A", "a ", "á", "ａ", "a%", "a_"}
			for _, id := range ids {
				set := put(id, id)
				set.Drafts[0].IfRevision = conf.Revision(0)
				commit(t, s, set)
			}
			page, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 10, Contents: true})
			require.NoError(t, err)
			require.Len(t, page.Entries, len(ids))
			for i, id := range ids {
				e, err := s.Read(t.Context(), key(id), 0)
				require.NoError(t, err)
				require.Equal(t, id, e.Content)
				require.EqualValues(t, i+1, e.Revision)
				changes, err := s.History(t.Context(), key(id), 0, 10)
				require.NoError(t, err)
				require.Len(t, changes, 1)
			}
			page, err = s.Scan(t.Context(), conf.ScanRequest{Limit: 10, Prefix: "a_"})
			require.NoError(t, err)
			require.Len(t, page.Entries, 1, "a prefix is no pattern")
		})
	}
}

// S23: what somebody changed by hand is told as damage, never served.
func TestS23_ChangedByHand(t *testing.T) {
	dsn := mariadbtest.Database(t)
	s, db := open(t, dsn), mariadbtest.Connect(t, dsn)
	commit(t, s, put("a", "1"))
	commit(t, s, put("b", "2"))
	exec(t, db, "UPDATE diamond_change SET content = 'spoilt' WHERE revision = 1")
	_, err := s.Read(t.Context(), key("a"), 0)
	require.ErrorIs(t, err, conf.ErrCorrupt)
	_, err = s.Read(t.Context(), key("a"), 1)
	require.ErrorIs(t, err, conf.ErrCorrupt)
	_, err = s.Scan(t.Context(), conf.ScanRequest{Limit: 10, Contents: true})
	require.ErrorIs(t, err, conf.ErrCorrupt)
	b, err := s.Changes(t.Context(), conf.Position{}, 1<<20)
	require.ErrorIs(t, err, conf.ErrCorrupt)
	require.EqualValues(t, 2, b.Head.Revision)
	e, err := s.Read(t.Context(), key("b"), 0)
	require.NoError(t, err)
	require.Equal(t, "2", e.Content)
	exec(t, db, "DELETE FROM diamond_change WHERE revision = 1")
	_, err = s.Read(t.Context(), key("a"), 0)
	require.ErrorIs(t, err, conf.ErrCorrupt)
	_, err = s.Changes(t.Context(), conf.Position{}, 1<<20)
	require.ErrorIs(t, err, conf.ErrCorrupt, "a hole in the log")
}

// Where the counter is missing, as while a dump is loaded, nothing is said to be absent.
func TestMissingCounterIsNoAbsence(t *testing.T) {
	dsn := mariadbtest.Database(t)
	s := open(t, dsn)
	commit(t, s, put("a", "1"))
	exec(t, raw(t, dsn), "DELETE FROM diamond_counter")
	for name, read := range map[string]func() error{
		"read":           func() error { _, err := s.Read(t.Context(), key("a"), 0); return err },
		"read of old":    func() error { _, err := s.Read(t.Context(), key("a"), 1); return err },
		"read of none":   func() error { _, err := s.Read(t.Context(), key("b"), 0); return err },
		"position":       func() error { _, err := s.At(t.Context()); return err },
		"scan":           func() error { _, err := s.Scan(t.Context(), conf.ScanRequest{}); return err },
		"changes":        func() error { _, err := s.Changes(t.Context(), conf.Position{}, 1); return err },
		"write of a set": func() error { _, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "2")}); return err },
	} {
		require.ErrorIs(t, read(), conf.ErrCorrupt, name)
	}
}
