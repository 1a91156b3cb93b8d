package transporttest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func fetchCases() []testCase {
	return []testCase{
		{"Fetch/Present", "Fetch returns the present state of a key, every field of it, as of a Position", func(f *fixture) {
			k := conf.Key{Namespace: "team-a", Group: "g.1", DataID: "a:b_c.json"}
			before := time.Now().Add(-time.Minute)
			at := f.commit(conf.ChangeSet{Drafts: []conf.Draft{{
				Key: k, Content: `{"a":1}`, Meta: map[string]string{"owner": "Zoë & co", "q": `"=%+`},
			}}})
			res := f.fetch(k)
			require.True(f, res.Found)
			e := res.Entry
			assert.Equal(f, k, e.Key)
			assert.Equal(f, `{"a":1}`, e.Content)
			assert.Equal(f, "json", e.Type)
			assert.Equal(f, conf.MD5Hex(`{"a":1}`), e.MD5)
			assert.EqualValues(f, 7, e.Size)
			assert.Equal(f, at.Revision, e.Revision)
			assert.Equal(f, at.Revision, e.View)
			assert.Equal(f, map[string]string{"owner": "Zoë & co", "q": `"=%+`}, e.Meta)
			assert.WithinRange(f, e.Modified, before, time.Now().Add(time.Minute))
			assert.Equal(f, at, res.Position)

			inProcess, err := f.srv.Fetch(f.ctx, &conf.FetchRequest{Key: k})
			require.NoError(f, err)
			assert.Equal(f, inProcess.Entry.Modified.UnixMicro(), e.Modified.UnixMicro())
		}},
		{"Fetch/Absent", "a key that does not exist is an answer with a Position, not an error", func(f *fixture) {
			at := f.publish("other", "x")
			res := f.fetch(key("absent"))
			assert.False(f, res.Found)
			assert.Equal(f, conf.Entry{}, res.Entry)
			assert.Equal(f, at, res.Position)
		}},
		{"Fetch/Deleted", "a deletion is an answer at a Position not below that of the value", func(f *fixture) {
			f.publish("k", "x")
			at := f.remove("k")
			res := f.fetch(key("k"))
			assert.False(f, res.Found)
			assert.Equal(f, at, res.Position)
		}},
		{"Fetch/Version", "a Revision asks for exactly that version; one that is not there is ErrNotFound", func(f *fixture) {
			first := f.publish("k", "one")
			f.publish("k", "two")
			deleted := f.remove("k")
			res, err := f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: key("k"), Revision: first.Revision})
			require.NoError(f, err)
			assert.True(f, res.Found)
			assert.Equal(f, "one", res.Entry.Content)
			assert.Equal(f, first.Revision, res.Entry.Revision)
			for _, revision := range []int64{deleted.Revision, 99} {
				_, err = f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: key("k"), Revision: revision})
				assert.ErrorIs(f, err, conf.ErrNotFound)
			}
		}},
		{"Fetch/After", "the server waits to reach After, and is ErrBehind when it does not; another store's is ErrOtherStore", func(f *fixture) {
			at := f.publish("k", "one")
			res, err := f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: key("k"), After: at})
			require.NoError(f, err)
			assert.True(f, res.Found)

			ahead := at
			ahead.Revision++
			_, err = f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: key("k"), After: ahead})
			assert.ErrorIs(f, err, conf.ErrBehind)

			other := at
			other.Store[0]++
			_, err = f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: key("k"), After: other})
			assert.ErrorIs(f, err, conf.ErrOtherStore)
		}},
		{"Fetch/Canonical", "keys need not be canonical in requests; they are in responses", func(f *fixture) {
			f.publish("k", "one")
			res := f.fetch(conf.Key{DataID: "k"})
			assert.Equal(f, key("k"), res.Entry.Key)
		}},
		{"Fetch/BadKey", "a key that breaks the grammar is ErrInvalid, whatever it holds", func(f *fixture) {
			f.publish("k", "one")
			for _, dataID := range []string{"", ".", "..", "a/b", "a b", "a%41", "ä", "k?", "k#", "k\n", "k\x00", strings.Repeat("k", conf.MaxDataID+1)} {
				_, err := f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: conf.Key{DataID: dataID}})
				assert.ErrorIs(f, err, conf.ErrInvalid, "%q", dataID)
				_, err = f.tr.Commit(f.ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{DataID: dataID}, Content: "x"}}}})
				assert.ErrorIs(f, err, conf.ErrInvalid, "%q", dataID)
			}
		}},
		{"Fetch/System", "the namespaces of the system are ErrDenied", func(f *fixture) {
			k := conf.Key{Namespace: "_users", DataID: "k"}
			_, err := f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: k})
			assert.ErrorIs(f, err, conf.ErrDenied)
			_, err = f.tr.Commit(f.ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: "x"}}}})
			assert.ErrorIs(f, err, conf.ErrDenied)
		}},
		{"Fetch/ByteExact", "a content is any bytes, and comes back exactly as given, on every road", func(f *fixture) {
			for name, content := range contents() {
				at := f.publish("k", content)
				res := f.fetch(key("k"))
				assert.True(f, res.Entry.Content == content, "fetch changed %s", name)
				old, err := f.tr.Fetch(f.ctx, &conf.FetchRequest{Key: key("k"), Revision: at.Revision})
				require.NoError(f, err)
				assert.True(f, old.Entry.Content == content, "fetch of a version changed %s", name)

				polled := f.poll(0, nothing("k"))
				require.Len(f, polled.Changed, 1)
				if len(content) <= conf.InlineContent {
					require.NotNil(f, polled.Changed[0].Entry, name)
					assert.True(f, polled.Changed[0].Entry.Content == content, "poll changed %s", name)
				} else {
					assert.Nil(f, polled.Changed[0].Entry, "%s is too large to be carried inline", name)
				}
				list, err := f.tr.List(f.ctx, &conf.ListRequest{Contents: true})
				require.NoError(f, err)
				require.Len(f, list.Entries, 1)
				assert.True(f, list.Entries[0].Content == content, "list changed %s", name)

				from := at
				from.Revision--
				changes, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{Contents: true})
				for err == nil && changes.More {
					changes, err = f.tr.Changes(f.ctx, &conf.ChangesRequest{Contents: true, After: changes.Position})
				}
				require.NoError(f, err)
				assert.True(f, changes.Changes[len(changes.Changes)-1].Content == content, "changes changed %s", name)
			}
		}},
	}
}

// contents are bytes that careless code alters.
func contents() map[string]string {
	var every strings.Builder
	for i := range 256 {
		every.WriteByte(byte(i))
	}
	return map[string]string{
		"nothing":          "",
		"one byte":         "x",
		"every byte":       every.String(),
		"NULs":             "\x00\x00",
		"invalid UTF-8":    "\xff\xfe\xc3\x28",
		"a BOM":            "\xef\xbb\xbfkey: v\n",
		"CRLF":             "a\r\nb\r\n",
		"blanks around":    "  \n indented\n\n \t",
		"emoji":            "😀😀",
		"separators":       `;&%#$@,*^~()/|\+=?"'<>{}`,
		"a percent":        "50% %41 %zz +",
		"JSON of a frame":  `{"key":"public/DEFAULT_GROUP/k","revision":1,"length":3}` + "\nabc\n",
		"64 KiB - 1":       strings.Repeat("a", 64<<10-1),
		"64 KiB":           strings.Repeat("b", 64<<10),
		"64 KiB + 1":       strings.Repeat("c", 64<<10+1),
		"the largest":      strings.Repeat("\x00\xff", MaxContent/2),
		"trailing newline": "a: 1\n",
	}
}
