package storagetest

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// copyOf returns a fresh replica.
func (p *probe) copyOf() Copy {
	p.Helper()
	c := p.replica(p.T)
	p.Cleanup(func() { require.NoError(p, c.Close()) })
	return c
}

func (p *probe) at(c Copy) conf.Position {
	p.Helper()
	at, err := c.At(p.Context())
	require.NoError(p, err)
	return at
}

// catchUp applies the store's changes after c's position to c, in batches.
func (p *probe) catchUp(c Copy, maxBytes int64) {
	p.Helper()
	for {
		b, err := p.store.Changes(p.Context(), p.at(c), maxBytes)
		require.NoError(p, err)
		require.NoError(p, c.Apply(p.Context(), b.Changes, b.Position))
		require.Equal(p, b.Position, p.at(c))
		if len(b.Changes) == 0 {
			return
		}
	}
}

// same asserts that c equals the store. It compares histories only for the given keys.
func (p *probe) same(c Copy, ids ...string) {
	p.Helper()
	req := conf.ScanRequest{Limit: 10, Contents: true}
	require.Equal(p, scan(p, p.store, req), scan(p, c, req), "the current view")
	require.Equal(p, p.head(), p.at(c))
	for _, id := range ids {
		changes, err := c.History(p.Context(), key(id), 0, 100)
		require.NoError(p, err)
		require.Equal(p, p.history(key(id)), changes, "the history of %s", id)
	}
}

func replicaClauses() []clause {
	return []clause{
		{"Empty", "At is zero when the replica is empty.", func(p *probe) {
			require.True(p, p.at(p.copyOf()).IsZero())
		}},
		{"Apply", "Apply adds the changes that follow At, with the revisions as given: the copy has the same log, view, history and position.", func(p *probe) {
			for i := range 20 {
				set := put(fmt.Sprint("k", i%4), fmt.Sprint(i))
				set.Drafts = append(set.Drafts, conf.Draft{Key: key("both"), Content: "x"})
				p.commit(set)
			}
			p.commit(del("k1"))
			for _, limit := range []int64{0, 5, all} {
				c := p.copyOf()
				p.catchUp(c, limit)
				p.same(c, "k0", "k1", "both", "never")
				changes, _ := follow(p, c, conf.Position{}, all)
				require.Equal(p, p.changes(conf.Position{}), changes)
			}
		}},
		{"ApplyForks", "Apply takes the epochs of the store, and positions of earlier ones stay good.", func(p *probe) {
			first := p.commit(put("a", "1"))
			c := p.copyOf()
			p.catchUp(c, all)
			lost := first
			lost.Revision, lost.Chain = 7, conf.Chain{1}
			_, err := p.store.Fork(p.Context(), lost)
			require.NoError(p, err)
			p.commit(put("a", "2"))
			late := p.copyOf()
			for _, c := range []Copy{c, late} {
				p.catchUp(c, all)
				p.same(c, "a")
				changes, _ := follow(p, c, first, all)
				require.Equal(p, []int64{8, 9}, revisions(changes))
			}
		}},
		{"ApplyVerifies", "Apply fails with ErrCorrupt, and changes nothing, unless At.Follow(changes) is to.", func(p *probe) {
			for i := range 3 {
				set := put("a", fmt.Sprint(i))
				set.Drafts = append(set.Drafts, conf.Draft{Key: key("b"), Content: fmt.Sprint(i)})
				p.commit(set)
			}
			b, err := p.store.Changes(p.Context(), conf.Position{}, all)
			require.NoError(p, err)
			c := p.copyOf()
			bad := map[string]func(changes []conf.Change, to *conf.Position) []conf.Change{
				"content":    func(ch []conf.Change, _ *conf.Position) []conf.Change { ch[3].Content = "y"; return ch },
				"author":     func(ch []conf.Change, _ *conf.Position) []conf.Change { ch[3].Author.Name = "eve"; return ch },
				"chain":      func(ch []conf.Change, to *conf.Position) []conf.Change { to.Chain[0] ^= 1; return ch },
				"revision":   func(ch []conf.Change, to *conf.Position) []conf.Change { to.Revision++; return ch },
				"epoch":      func(ch []conf.Change, to *conf.Position) []conf.Change { return ch[2:] },
				"half a set": func(ch []conf.Change, _ *conf.Position) []conf.Change { return ch[:5] },
				"out of order": func(ch []conf.Change, _ *conf.Position) []conf.Change {
					ch[2], ch[3] = ch[3], ch[2]
					return ch
				},
				"gap":     func(ch []conf.Change, _ *conf.Position) []conf.Change { return slices.Delete(ch, 2, 4) },
				"nothing": func([]conf.Change, *conf.Position) []conf.Change { return nil },
			}
			for name, spoil := range bad {
				to := b.Position
				changes := spoil(slices.Clone(b.Changes), &to)
				require.ErrorIs(p, c.Apply(p.Context(), changes, to), conf.ErrCorrupt, name)
				require.True(p, p.at(c).IsZero(), name)
				require.Empty(p, scan(p, c, conf.ScanRequest{Limit: 1}), name)
			}
			require.NoError(p, c.Apply(p.Context(), b.Changes, b.Position))
			require.Error(p, c.Apply(p.Context(), b.Changes, b.Position), "the same changes again do not follow")
			require.NoError(p, c.Apply(p.Context(), nil, b.Position), "nothing, to where it is")
			p.same(c, "a", "b")
		}},
		{"OtherStore", "A replica of one store refuses the changes and entries of another.", func(p *probe) {
			p.commit(put("a", "x"))
			c := p.copyOf()
			p.catchUp(c, all)
			to := p.at(c)
			to.Store[0] ^= 1
			require.ErrorIs(p, c.Apply(p.Context(), nil, to), conf.ErrOtherStore)
			require.ErrorIs(p, c.Install(p.Context(), to, entriesOf(nil)), conf.ErrOtherStore)
			p.same(c, "a")
		}},
		{"NoCopy", "A replica that has taken a Commit of its own refuses Apply and Install with ErrInvalid.", func(p *probe) {
			at := p.commit(put("a", "x"))
			for _, own := range []func(Copy){
				func(c Copy) {
					r, err := c.Commit(p.Context(), []conf.ChangeSet{put("own", "x")})
					require.NoError(p, err)
					require.NoError(p, r[0].Err)
				},
				func(c Copy) {
					_, err := c.Fork(p.Context(), conf.Position{})
					require.NoError(p, err)
				},
			} {
				c := p.copyOf()
				p.catchUp(c, all)
				own(c)
				require.ErrorIs(p, c.Apply(p.Context(), nil, p.at(c)), conf.ErrInvalid)
				require.ErrorIs(p, c.Install(p.Context(), at, entriesOf(nil)), conf.ErrInvalid)
				require.EqualValues(p, 2, p.at(c).Revision, "its own change follows what it copied")
			}
		}},
		{"Durable", "What was applied and installed survives a new start.", func(p *probe) {
			if p.reopen == nil {
				p.Skip("the storage does not say that it can")
			}
			p.commit(put("a", "x"))
			c := p.replica(p.T)
			p.catchUp(c, all)
			c = p.reopen(p.T, c).(Copy)
			p.same(c, "a")
			require.NoError(p, c.Install(p.Context(), p.head(), entriesOf(scan(p, p.store, conf.ScanRequest{Limit: 9, Contents: true}))))
			p.commit(put("a", "y"))
			c = p.reopen(p.T, c).(Copy)
			p.catchUp(c, all)
			p.same(c)
			require.NoError(p, c.Close())
		}},
	}
}
