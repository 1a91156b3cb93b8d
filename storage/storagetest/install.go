package storagetest

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func entriesOf(entries []conf.Entry) iter.Seq2[conf.Entry, error] {
	return func(yield func(conf.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// install installs a scan of the store into c, page by page. It calls between after each
// page, so that some entries become newer than the position.
func (p *probe) install(c Copy, between func(page int)) {
	p.Helper()
	req := conf.ScanRequest{Limit: 4, Contents: true}
	first, err := p.store.Scan(p.Context(), conf.ScanRequest{Limit: 1})
	require.NoError(p, err)
	require.NoError(p, c.Install(p.Context(), first.Position, func(yield func(conf.Entry, error) bool) {
		for n := 0; ; n++ {
			page, err := p.store.Scan(p.Context(), req)
			if err != nil {
				yield(conf.Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if !page.More {
				return
			}
			req.After = page.Entries[len(page.Entries)-1].Key
			between(n)
		}
	}))
	require.Equal(p, first.Position, p.at(c))
}

func installClauses() []clause {
	return []clause{
		{"Install", "Install replaces all by a scan; earlier history is gone: Changes before its position is ErrCompacted.", func(p *probe) {
			var positions []conf.Position
			for i := range 20 {
				positions = append(positions, p.commit(put(fmt.Sprint("k", i%7), fmt.Sprint(i))))
			}
			c := p.copyOf()
			p.install(c, func(int) {})
			p.same(c)
			for _, at := range append(slices.Clone(positions[:19]), conf.Position{}) {
				_, err := c.Changes(p.Context(), at, all)
				require.ErrorIs(p, err, conf.ErrCompacted, "after revision %d", at.Revision)
			}
			for _, revision := range []int64{0, 1, 18, 19} {
				_, err := c.PositionAt(p.Context(), revision)
				require.ErrorIs(p, err, conf.ErrCompacted, "position at revision %d, of which only entries were installed", revision)
			}
			at, err := c.PositionAt(p.Context(), 20)
			require.NoError(p, err)
			require.Equal(p, positions[19], at)
			changes, head := follow(p, c, positions[19], all)
			require.Empty(p, changes)
			require.Equal(p, positions[19], head)
			e, err := c.Read(p.Context(), key("k6"), 7)
			require.ErrorIs(p, err, conf.ErrCompacted)
			require.Zero(p, e)
			e, err = c.Read(p.Context(), key("k6"), 0)
			require.NoError(p, err)
			e, err = c.Read(p.Context(), key("k6"), e.Revision)
			require.NoError(p, err)
			require.Equal(p, p.read("k6"), e)
			p.commit(put("k6", "new"))
			p.commit(del("k5"))
			p.catchUp(c, all)
			p.same(c)
		}},
		{"NewerEntries", "A change that is not newer than what Install brought for its key leaves the current view alone; caught up, the copy is as any other.", func(p *probe) {
			for i := range 20 {
				p.commit(put(fmt.Sprintf("k%02d", i), "old"))
			}
			c := p.copyOf()
			first := p.head()
			p.install(c, func(page int) {
				p.commit(put("k19", fmt.Sprint("a", page)))
				p.commit(put("k18", fmt.Sprint("a", page)))
				p.commit(put("k17", "x"))
				p.commit(del("k17"))
				p.commit(put("k00", fmt.Sprint("a", page)))
				p.commit(put("k19", fmt.Sprint("b", page)))
				p.commit(put(fmt.Sprint("new", page), "x"))
				if page == 2 {
					p.commit(put("k17", "again"))
				}
			})
			e, err := c.Read(p.Context(), key("k19"), 0)
			require.NoError(p, err)
			newest := e.Revision
			require.Greater(p, newest, p.at(c).Revision, "newer than the position")
			for p.at(c).Revision < p.head().Revision {
				b, err := p.store.Changes(p.Context(), p.at(c), 0)
				require.NoError(p, err)
				require.NoError(p, c.Apply(p.Context(), b.Changes, b.Position))
				e, err := c.Read(p.Context(), key("k19"), 0)
				require.NoError(p, err)
				require.GreaterOrEqual(p, e.Revision, newest, "never back")
				newest = e.Revision
			}
			p.same(c)
			for _, id := range []string{"k17", "k18", "k19", "k00", "new1"} {
				changes, err := c.History(p.Context(), key(id), 0, 100)
				require.NoError(p, err)
				want := p.history(key(id))
				kept := slices.IndexFunc(changes, func(c conf.Change) bool { return c.Revision <= first.Revision })
				if kept < 0 {
					kept = len(changes)
				}
				require.Equal(p, want[:kept], changes[:kept], "what came after the installation, of %s", id)
			}
		}},
		{"ForkAboveNewerEntries", "A fork of a copy that holds entries above its position is above these.", func(p *probe) {
			at := p.commit(put("a", "1"))
			for range 5 {
				p.commit(put("a", "2"))
			}
			c := p.copyOf()
			require.NoError(p, c.Install(p.Context(), at, entriesOf([]conf.Entry{p.read("a")})))
			forked, err := c.Fork(p.Context(), conf.Position{})
			require.NoError(p, err)
			require.EqualValues(p, 7, forked.Revision)
		}},
		{"NotWrittenBehind", "A copy that holds entries above its position takes no Commit before it has caught up.", func(p *probe) {
			at := p.commit(put("a", "1"))
			p.commit(put("a", "2"))
			c := p.copyOf()
			require.NoError(p, c.Install(p.Context(), at, entriesOf([]conf.Entry{p.read("a")})))
			_, err := c.Commit(p.Context(), []conf.ChangeSet{put("b", "x")})
			require.ErrorIs(p, err, conf.ErrInvalid)
			p.catchUp(c, all)
			p.same(c)
			_, err = c.Commit(p.Context(), []conf.ChangeSet{put("b", "x")})
			require.NoError(p, err)
		}},
		{"AllOrNothing", "Install is all or nothing: where entries end with an error, or one is bad, nothing has changed.", func(p *probe) {
			for i := range 10 {
				p.commit(put(fmt.Sprint("k", i), "x"))
			}
			c := p.copyOf()
			p.catchUp(c, all)
			broken := errors.New("broken")
			entries := scan(p, p.store, conf.ScanRequest{Limit: 20, Contents: true})
			at := p.commit(put("k0", "y"))
			require.ErrorIs(p, c.Install(p.Context(), at, func(yield func(conf.Entry, error) bool) {
				for _, e := range entries {
					if !yield(e, nil) {
						return
					}
				}
				yield(conf.Entry{}, broken)
			}), broken)
			damaged := append([]conf.Entry(nil), entries...)
			damaged[9].Content = "spoilt"
			require.ErrorIs(p, c.Install(p.Context(), at, entriesOf(damaged)), conf.ErrCorrupt)
			require.ErrorIs(p, c.Install(p.Context(), at, entriesOf(append(entries, entries[0]))), conf.ErrInvalid)
			require.ErrorIs(p, c.Install(p.Context(), conf.Position{}, entriesOf(entries)), conf.ErrInvalid)
			p.catchUp(c, all)
			p.same(c, "k0", "k9")
		}},
		{"Again", "Install replaces what an earlier one brought, also with less, also at an earlier revision.", func(p *probe) {
			first := p.commit(put("a", "1"))
			entries := scan(p, p.store, conf.ScanRequest{Limit: 9, Contents: true})
			p.commit(put("b", "2"))
			c := p.copyOf()
			p.install(c, func(int) {})
			require.NoError(p, c.Install(p.Context(), first, entriesOf(entries)))
			require.Equal(p, first, p.at(c))
			require.Equal(p, []string{"a"}, keysOf(scan(p, c, conf.ScanRequest{Limit: 9})))
			p.catchUp(c, all)
			p.same(c, "b")
		}},
		{"OfNothing", "An empty store can be installed.", func(p *probe) {
			c := p.copyOf()
			require.NoError(p, c.Install(p.Context(), p.head(), entriesOf(nil)))
			require.Equal(p, p.head(), p.at(c))
			p.commit(put("a", "x"))
			p.catchUp(c, all)
			p.same(c, "a")
		}},
	}
}
