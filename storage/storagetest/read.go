package storagetest

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func readClauses() []clause {
	return []clause{
		{"Current", "Read at revision 0 returns the current entry, whole.", func(p *probe) {
			start := time.Now().Add(-time.Minute)
			at := p.commit(fullSet())
			e, err := p.store.Read(p.Context(), fullKey(), 0)
			require.NoError(p, err)
			checkFullEntry(p, e, at.Revision)
			require.True(p, e.Modified.After(start))
		}},
		{"NotFound", "Read of a key that has none, or a deletion, is ErrNotFound.", func(p *probe) {
			p.absent("a")
			p.commit(put("a", "x"))
			p.commit(del("a"))
			p.absent("a")
			p.commit(put("a", "y"))
			require.Equal(p, "y", p.read("a").Content)
		}},
		{"AtRevision", "Read at a revision returns the entry that was published at exactly that revision, ErrNotFound where there is none or a deletion.", func(p *probe) {
			p.commit(put("a", "1"))
			p.commit(put("b", "2"))
			p.commit(put("a", "3"))
			p.commit(del("a"))
			read := func(revision int64) (string, error) {
				e, err := p.store.Read(p.Context(), key("a"), revision)
				if err == nil {
					require.Equal(p, revision, e.Revision)
				}
				return e.Content, err
			}
			for revision, want := range map[int64]string{1: "1", 3: "3"} {
				got, err := read(revision)
				require.NoError(p, err)
				require.Equal(p, want, got)
			}
			for _, revision := range []int64{2, 4, 5, 1 << 40} {
				_, err := read(revision)
				require.ErrorIs(p, err, conf.ErrNotFound, "revision %d", revision)
			}
		}},
		{"S17_ByteExactness", "Contents are bytes: each is returned exactly as given, by every method.", func(p *probe) {
			for name, content := range exactContents() {
				set := put(name, content)
				p.commit(set)
				require.True(p, p.read(name).Content == content, "read of %s", name)
			}
			p.checkExact()
		}},
		{"S18_KeyIdentity", "Keys are compared byte for byte, and no two share a place.", func(p *probe) {
			keys := similarKeys()
			for _, k := range keys {
				p.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: k.String()}}})
			}
			for i, k := range keys {
				e, err := p.store.Read(p.Context(), k, 0)
				require.NoError(p, err)
				require.Equal(p, k.String(), e.Content)
				require.EqualValues(p, i+1, e.Revision)
				require.Len(p, p.history(k), 1)
			}
			require.Len(p, scan(p, p.store, conf.ScanRequest{Limit: 3}), len(keys))
			for _, k := range keys {
				p.commit(conf.ChangeSet{Deletes: []conf.Delete{{Key: k}}})
			}
			require.Empty(p, scan(p, p.store, conf.ScanRequest{Limit: 3}))
		}},
	}
}

// checkExact asserts that the store returns all of exactContents unchanged.
func (p *probe) checkExact() {
	p.Helper()
	contents := exactContents()
	seen := func(from string, k conf.Key, content string) {
		require.True(p, contents[k.DataID] == content, "%s of %s", from, k.DataID)
	}
	changes := p.changes(conf.Position{})
	require.Len(p, changes, len(contents))
	for _, c := range changes {
		seen("change", c.Key, c.Content)
		require.Equal(p, int64(len(c.Content)), c.Size)
		require.Equal(p, sha256.Sum256([]byte(c.Content)), c.SHA256)
		require.Equal(p, conf.MD5Hex(c.Content), c.MD5)
	}
	entries := scan(p, p.store, conf.ScanRequest{Limit: 4, Contents: true})
	require.Len(p, entries, len(contents))
	for _, e := range entries {
		seen("scan", e.Key, e.Content)
		read, err := p.store.Read(p.Context(), e.Key, e.Revision)
		require.NoError(p, err)
		seen("read", e.Key, read.Content)
		require.Equal(p, conf.MD5Hex(e.Content), read.MD5)
	}
}

// exactContents returns contents that storages are known to alter.
func exactContents() map[string]string {
	return map[string]string{
		"empty":     "",
		"one":       "x",
		"64k-1":     strings.Repeat("a", 64<<10-1),
		"64k":       strings.Repeat("a", 64<<10),
		"64k1":      strings.Repeat("a", 64<<10+1),
		"10m":       strings.Repeat("0123456789abcde\n", 10<<20/16),
		"nul":       "a\x00b\x00",
		"invalid":   "\xff\xfe\x80 not UTF-8 \xc3",
		"crlf":      "a\r\nb\r\n",
		"bom":       "\xef\xbb\xbfa",
		"emoji":     "😀 á ａ",
		"trailing":  "a   \n\n\t ",
		"leading":   "  \n a",
		"separator": "`; & % # $ @ , * ^ ~ ( ) / | \\ + \x01 \x02",
	}
}

// similarKeys returns keys that a careless store mixes up.
func similarKeys() []conf.Key {
	return []conf.Key{
		{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "a"},
		{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "A"},
		{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "a_"},
		{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "a."},
		{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "a-"},
		{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "aa"},
		{Namespace: "public", Group: "default_group", DataID: "a"},
		{Namespace: "public", Group: "DEFAULT_GROUP.", DataID: "a"},
		{Namespace: "Public", Group: "DEFAULT_GROUP", DataID: "a"},
		{Namespace: "public", Group: "a", DataID: "b.c"},
		{Namespace: "public", Group: "a.b", DataID: "c"},
		{Namespace: "public.a", Group: "b", DataID: "c"},
		{Namespace: "a", Group: "bc", DataID: "d"},
		{Namespace: "ab", Group: "c", DataID: "d"},
		{Namespace: "_system", Group: "a", DataID: "b"},
		{Namespace: strings.Repeat("n", conf.MaxNamespace), Group: strings.Repeat("g", conf.MaxGroup), DataID: strings.Repeat("d", conf.MaxDataID)},
		{Namespace: strings.Repeat("n", conf.MaxNamespace), Group: strings.Repeat("g", conf.MaxGroup), DataID: strings.Repeat("d", conf.MaxDataID-1)},
	}
}

func fullKey() conf.Key { return conf.Key{Namespace: "n", Group: "g", DataID: "d.json"} }

// fullSet returns a set that fills every field.
func fullSet() conf.ChangeSet {
	return conf.ChangeSet{
		Drafts: []conf.Draft{{
			Key: fullKey(), Content: `{"a":1}`, Type: "json",
			Meta: map[string]string{"owner": "team a", "note": "läuft", "zone": ""},
		}},
		Comment: "why not? 😀", Origin: "console",
		Caller: conf.Caller{Principal: conf.Principal{Name: "alice"}, Address: "192.0.2.1:99"},
	}
}

func checkFullEntry(p *probe, e conf.Entry, revision int64) {
	p.Helper()
	require.NotZero(p, e.Modified)
	e.Modified = time.Time{}
	require.Equal(p, conf.Entry{
		Key: fullKey(), Content: `{"a":1}`, Type: "json", MD5: conf.MD5Hex(`{"a":1}`), Size: 7,
		Revision: revision, View: revision, Meta: fullSet().Drafts[0].Meta,
	}, e)
}
