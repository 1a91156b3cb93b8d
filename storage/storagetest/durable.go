package storagetest

import (
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// again closes the store and opens it again.
func (p *probe) again() {
	p.Helper()
	p.store = p.reopen(p.T, p.store)
}

func durableClauses() []clause {
	return []clause{
		{"INV6_Acknowledged", "When Commit has returned, its sets are on stable storage, in all views, and a new start goes on after them.", func(p *probe) {
			p.commit(fullSet())
			p.commit(put("a", "1"))
			p.commit(put("a", "2"))
			p.commit(put("b", "1"))
			head := p.commit(del("b"))
			changes, history := p.changes(conf.Position{}), p.history(key("b"))
			p.again()
			require.Equal(p, head, p.head())
			require.Equal(p, changes, p.changes(conf.Position{}))
			require.Equal(p, history, p.history(key("b")))
			require.Equal(p, "2", p.read("a").Content)
			p.absent("b")
			require.EqualValues(p, 6, p.commit(putIf("a", "3", 3)).Revision)
		}},
		{"Requests", "A RequestID is known after a new start.", func(p *probe) {
			set := put("a", "x")
			set.RequestID, set.Caller.Principal.Name = "r1", "alice"
			at := p.commit(set)
			p.again()
			r := p.try(set)[0]
			require.True(p, r.Replayed)
			require.Equal(p, at, r.Position)
		}},
		{"Defect_S12_NoKeyHidesOthers", "Keys of every form and length come back after a new start, each with its own value.", func(p *probe) {
			for _, k := range similarKeys() {
				p.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: k.String()}}})
			}
			p.again()
			entries := scan(p, p.store, conf.ScanRequest{Limit: 3, Contents: true})
			require.Len(p, entries, len(similarKeys()))
			for _, e := range entries {
				require.Equal(p, e.Key.String(), e.Content)
			}
		}},
		{"Defect_S18_StartsEmpty", "A store that was never written keeps its id; starting on nothing is fine.", func(p *probe) {
			head := p.head()
			p.again()
			require.Equal(p, head, p.head())
			require.Empty(p, scan(p, p.store, conf.ScanRequest{Limit: 10}))
		}},
		{"Fork", "An epoch survives a new start, and so do positions of earlier ones.", func(p *probe) {
			first := p.commit(put("a", "x"))
			at, err := p.store.Fork(p.Context(), first)
			require.NoError(p, err)
			p.again()
			require.Equal(p, at, p.head())
			b, err := p.store.Changes(p.Context(), first, all)
			require.NoError(p, err)
			require.Equal(p, at, b.Position)
			b, err = p.store.Changes(p.Context(), conf.Position{}, 0)
			require.NoError(p, err)
			require.Equal(p, first, b.Position, "a position in the earlier epoch")
		}},
		{"S17_ByteExactness", "Contents come back exactly after a new start.", func(p *probe) {
			for name, content := range exactContents() {
				p.commit(put(name, content))
			}
			p.again()
			p.checkExact()
		}},
	}
}
