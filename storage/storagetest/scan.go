package storagetest

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func scanClauses() []clause {
	return []clause{
		{"Order", "Scan returns the current entries in the order of Key.Compare, in pages that neither repeat nor skip.", func(p *probe) {
			keys := similarKeys()
			for _, k := range keys {
				p.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: "x"}}})
			}
			slices.SortFunc(keys, conf.Key.Compare)
			for limit := 1; limit <= len(keys)+1; limit++ {
				var got []conf.Key
				for _, e := range scan(p, p.store, conf.ScanRequest{Limit: limit}) {
					got = append(got, e.Key)
				}
				require.Equal(p, keys, got, "pages of %d", limit)
			}
		}},
		{"Exact", "More says whether there is another page.", func(p *probe) {
			for i := range 4 {
				p.commit(put(fmt.Sprint("k", i), "x"))
			}
			p.commit(del("k3"))
			page, err := p.store.Scan(p.Context(), conf.ScanRequest{Limit: 3})
			require.NoError(p, err)
			require.Len(p, page.Entries, 3)
			require.False(p, page.More)
			page, err = p.store.Scan(p.Context(), conf.ScanRequest{Limit: 2})
			require.NoError(p, err)
			require.True(p, page.More)
		}},
		{"Entries", "Scan returns entries whole but for their content, which it adds if asked.", func(p *probe) {
			at := p.commit(fullSet())
			require.Equal(p, at, p.head(), "the position of the page")
			for _, contents := range []bool{false, true} {
				e := scan(p, p.store, conf.ScanRequest{Limit: 5, Contents: contents})[0]
				if !contents {
					require.Empty(p, e.Content)
					e.Content = `{"a":1}`
				}
				checkFullEntry(p, e, at.Revision)
			}
		}},
		{"Filter", "Scan is within a namespace, a group and a prefix of the data id, alone and together.", func(p *probe) {
			var keys []conf.Key
			for _, namespace := range []string{"m", "n", "n.", "nn"} {
				for _, group := range []string{"g", "g.", "h"} {
					for _, id := range []string{"a", "ab", "abc", "b"} {
						k := conf.Key{Namespace: namespace, Group: group, DataID: id}
						keys = append(keys, k)
						p.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: "x"}}})
					}
				}
			}
			slices.SortFunc(keys, conf.Key.Compare)
			for _, namespace := range []string{"", "n", "x"} {
				for _, group := range []string{"", "g", "x"} {
					for _, prefix := range []string{"", "a", "ab", "x"} {
						req := conf.ScanRequest{Namespace: namespace, Group: group, Prefix: prefix, Limit: 5}
						var want, got []conf.Key
						for _, k := range keys {
							if req.Matches(k) {
								want = append(want, k)
							}
						}
						for _, e := range scan(p, p.store, req) {
							got = append(got, e.Key)
						}
						require.Equal(p, want, got, "%+v", req)
					}
				}
			}
		}},
		{"After", "After need not be a key that exists, nor be within the filter.", func(p *probe) {
			for _, id := range []string{"b", "d", "f"} {
				p.commit(put(id, "x"))
			}
			after := func(k conf.Key, req conf.ScanRequest) []string {
				req.After, req.Limit = k, 10
				return keysOf(scan(p, p.store, req))
			}
			require.Equal(p, []string{"d", "f"}, after(key("c"), conf.ScanRequest{}))
			require.Equal(p, []string{"d", "f"}, after(key("b"), conf.ScanRequest{}))
			require.Equal(p, []string{"f"}, after(key("c"), conf.ScanRequest{Namespace: conf.DefaultNamespace, Group: conf.DefaultGroup, Prefix: "f"}))
			require.Empty(p, after(key("f"), conf.ScanRequest{}))
			require.Empty(p, after(conf.Key{Namespace: "z", Group: "a", DataID: "a"}, conf.ScanRequest{Namespace: conf.DefaultNamespace}))
		}},
		{"StartOfAReader", "Scan, then Changes from the first page's position, each applied only if newer, gives the current view, also under writes.", func(p *probe) {
			for i := range 30 {
				p.commit(put(fmt.Sprintf("k%02d", i), "old"))
			}
			view := make(map[string]int64)
			var at conf.Position
			req := conf.ScanRequest{Limit: 7}
			for n := 0; ; n++ {
				page, err := p.store.Scan(p.Context(), req)
				require.NoError(p, err)
				if n == 0 {
					at = page.Position
				}
				for _, e := range page.Entries {
					view[e.Key.DataID] = e.Revision
				}
				p.commit(put(fmt.Sprintf("k%02d", n), "new"))
				p.commit(del(fmt.Sprintf("k%02d", 20+n)))
				p.commit(put(fmt.Sprintf("n%02d", n), "new"))
				if !page.More {
					break
				}
				req.After = page.Entries[len(page.Entries)-1].Key
			}
			for _, c := range p.changes(at) {
				if c.Revision <= view[c.Key.DataID] {
					continue
				}
				view[c.Key.DataID] = c.Revision
				if c.Op == conf.OpDelete {
					delete(view, c.Key.DataID)
				}
			}
			want := make(map[string]int64)
			for _, e := range scan(p, p.store, conf.ScanRequest{Limit: 100}) {
				want[e.Key.DataID] = e.Revision
			}
			require.Equal(p, want, view)
		}},
	}
}
