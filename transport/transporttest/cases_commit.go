package transporttest

import (
	"errors"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func commitCases() []testCase {
	return []testCase{
		{"Commit/Set", "a set commits together, as one revision, and a Fetch after it has its effects", func(f *fixture) {
			old := f.publish("old", "x")
			guard := f.publish("guard", "x")
			at := f.commit(conf.ChangeSet{
				Drafts: []conf.Draft{
					{Key: key("a"), Content: "1\n{\"op\":\"delete\"}\n", Type: "text"},
					{Key: key("b"), Content: "", AllowEmpty: true, IfRevision: conf.Revision(0)},
				},
				Deletes: []conf.Delete{{Key: key("old"), IfRevision: &old.Revision}},
				Checks:  []conf.Check{{Key: key("guard"), Revision: guard.Revision}, {Key: key("absent"), Revision: 0}},
				Comment: "why: 50% & más",
			})
			assert.Equal(f, guard.Revision+1, at.Revision)
			a, b := f.fetch(key("a")), f.fetch(key("b"))
			assert.Equal(f, "text", a.Entry.Type)
			assert.Equal(f, at.Revision, a.Entry.Revision)
			assert.Equal(f, at.Revision, b.Entry.Revision)
			assert.True(f, b.Found)
			assert.False(f, f.fetch(key("old")).Found)

			history, err := f.tr.History(f.ctx, &conf.HistoryRequest{Key: key("a")})
			require.NoError(f, err)
			require.Len(f, history.Changes, 1)
			assert.Equal(f, "why: 50% & más", history.Changes[0].Comment)
			assert.Equal(f, 3, history.Changes[0].Count)
		}},
		{"Commit/Kept", "what a Draft does not say of a key stays; Reset forgets it", func(f *fixture) {
			draft := conf.Draft{Key: key("k"), Content: "x", Type: "yaml", Meta: map[string]string{"owner": "me"}}
			is := func(typ string, meta map[string]string) {
				f.commit(conf.ChangeSet{Drafts: []conf.Draft{draft}})
				e := f.fetch(draft.Key).Entry
				assert.Equal(f, typ, e.Type)
				assert.Equal(f, meta, e.Meta)
			}
			is("yaml", draft.Meta)
			meta := draft.Meta
			draft.Type, draft.Meta = "", nil
			is("yaml", meta)
			draft.Reset, draft.Meta = true, map[string]string{"a": "b"}
			is("", draft.Meta)
		}},
		{"Commit/Conflict", "a condition that does not hold is ErrConflict, with the key and its current revision; nothing is done", func(f *fixture) {
			at := f.publish("k", "one")
			for name, set := range map[string]conf.ChangeSet{
				"draft":  {Drafts: []conf.Draft{{Key: key("k"), Content: "two", IfRevision: conf.Revision(0)}}},
				"delete": {Deletes: []conf.Delete{{Key: key("k"), IfRevision: conf.Revision(99)}}},
				"check":  {Drafts: []conf.Draft{{Key: key("other"), Content: "x"}}, Checks: []conf.Check{{Key: key("k"), Revision: 0}}},
			} {
				_, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: set})
				require.ErrorIs(f, err, conf.ErrConflict, name)
				var e *conf.Error
				require.True(f, errors.As(err, &e), name)
				assert.Equal(f, key("k"), e.Key, name)
				assert.Equal(f, at.Revision, e.Current, name)
			}
			assert.Equal(f, at, f.fetch(key("k")).Position)
		}},
		{"Commit/NotFound", "a Delete of nothing is ErrNotFound", func(f *fixture) {
			_, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: key("absent")}}}})
			assert.ErrorIs(f, err, conf.ErrNotFound)
		}},
		{"Commit/Invalid", "a set that breaks a rule is ErrInvalid, and the message names every rule", func(f *fixture) {
			blank := conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{DataID: "a b"}, Content: " \n"}}}
			_, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: blank})
			require.ErrorIs(f, err, conf.ErrInvalid)
			assert.Contains(f, err.Error(), "dataId")

			for name, set := range map[string]conf.ChangeSet{
				"no changes":       {},
				"blank":            {Drafts: []conf.Draft{{Key: key("k"), Content: " \n"}}},
				"key twice":        {Drafts: []conf.Draft{{Key: key("k"), Content: "1"}}, Deletes: []conf.Delete{{Key: key("k")}}},
				"request id":       {Drafts: []conf.Draft{{Key: key("k"), Content: "1"}}, RequestID: "a b"},
				"request id lines": {Drafts: []conf.Draft{{Key: key("k"), Content: "1"}}, RequestID: "a\r\nx: y"},
				"comment":          {Drafts: []conf.Draft{{Key: key("k"), Content: "1"}}, Comment: "a\nb"},
				"type":             {Drafts: []conf.Draft{{Key: key("k"), Content: "1", Type: "a/b"}}},
				"negative":         {Drafts: []conf.Draft{{Key: key("k"), Content: "1", IfRevision: conf.Revision(-1)}}},
			} {
				_, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: set})
				assert.ErrorIs(f, err, conf.ErrInvalid, name)
			}
			assert.False(f, f.fetch(key("k")).Found)
		}},
		{"Commit/TooLarge", "a content over the limit is ErrTooLarge, and the message has the number", func(f *fixture) {
			for _, size := range []int{MaxContent + 1, 4 * MaxContent} {
				_, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{
					Key: key("k"), Content: strings.Repeat("x", size),
				}}}})
				require.ErrorIs(f, err, conf.ErrTooLarge)
				assert.Contains(f, err.Error(), "1048576")
			}
		}},
		{"Commit/Replayed", "a set sent again under its RequestID gets the first outcome; another set under it is ErrInvalid", func(f *fixture) {
			set := conf.ChangeSet{RequestID: "r-1:a.b_c", Drafts: []conf.Draft{{Key: key("k"), Content: "one"}}}
			first, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: set})
			require.NoError(f, err)
			assert.False(f, first.Replayed)
			f.publish("k", "two")
			again, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Set: set})
			require.NoError(f, err)
			assert.True(f, again.Replayed)
			assert.Equal(f, first.Position, again.Position)
			assert.Equal(f, "two", f.fetch(key("k")).Entry.Content)

			set.Drafts = []conf.Draft{{Key: key("k"), Content: "other"}}
			_, err = f.tr.Commit(f.ctx, &conf.CommitRequest{Set: set})
			assert.ErrorIs(f, err, conf.ErrInvalid)
		}},
		{"Commit/Caller", "who asks is what the transport has proven, never what the request says", func(f *fixture) {
			f.commit(conf.ChangeSet{
				Drafts: []conf.Draft{{Key: key("k"), Content: "one"}},
				Caller: conf.Caller{Principal: conf.Principal{Name: "root"}, Address: "10.9.8.7:1"},
			})
			history, err := f.tr.History(f.ctx, &conf.HistoryRequest{Key: key("k")})
			require.NoError(f, err)
			require.Len(f, history.Changes, 1)
			assert.Empty(f, history.Changes[0].Author.Name)
			assert.NotEqual(f, "10.9.8.7:1", history.Changes[0].Address)
		}},
	}
}
