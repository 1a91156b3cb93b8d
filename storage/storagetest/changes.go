package storagetest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

func changesClauses() []clause {
	return []clause{
		{"Whole", "A change has all that is known of it, and the position that follows from it is the set's.", func(p *probe) {
			at := p.commit(fullSet())
			b, err := p.store.Changes(p.Context(), conf.Position{}, all)
			require.NoError(p, err)
			require.Equal(p, at, b.Position)
			require.Equal(p, at, b.Head)
			require.Len(p, b.Changes, 1)
			c := b.Changes[0]
			require.Equal(p, c.Time.Truncate(time.Microsecond), c.Time, "whole microseconds")
			require.Equal(p, time.UTC, c.Time.Location())
			c.Time = time.Time{}
			require.Equal(p, conf.Change{
				Revision: 1, Number: 0, Count: 1, Key: fullKey(), Op: conf.OpPublish, Type: "json",
				MD5: conf.MD5Hex(`{"a":1}`), SHA256: sha256.Sum256([]byte(`{"a":1}`)), Size: 7,
				Meta: fullSet().Drafts[0].Meta, Author: conf.Principal{Name: "alice"}, Address: "192.0.2.1:99",
				Comment: "why not? 😀", Origin: "console", Content: `{"a":1}`,
			}, c)
		}},
		{"Deletion", "A deletion is a change, never an absence.", func(p *probe) {
			p.commit(put("a", "x"))
			set := del("a")
			set.Comment, set.Caller.Principal.Name, set.Origin = "gone", "bob", "cli"
			p.commit(set)
			c := p.changes(conf.Position{})[1]
			require.Equal(p, conf.OpDelete, c.Op)
			require.Equal(p, key("a"), c.Key)
			require.Equal(p, "gone", c.Comment)
			require.Equal(p, "bob", c.Author.Name)
			require.Equal(p, "cli", c.Origin)
			require.Equal(p, "cli", p.history(key("a"))[0].Origin)
			require.Empty(p, p.history(key("a"))[1].Origin)
			require.Zero(p, c.MD5+c.Content+c.Type)
			require.Zero(p, c.SHA256)
		}},
		{"Head", "At the head there is nothing; Position is the one asked from, and Head is always set, also with an error.", func(p *probe) {
			b, err := p.store.Changes(p.Context(), conf.Position{}, all)
			require.NoError(p, err)
			require.Empty(p, b.Changes)
			require.NotZero(p, b.Head.Store)
			b, err = p.store.Changes(p.Context(), b.Head, all)
			require.NoError(p, err)
			require.Empty(p, b.Changes)
			at := p.commit(put("a", "x"))
			b, err = p.store.Changes(p.Context(), at, all)
			require.NoError(p, err)
			require.Empty(p, b.Changes)
			require.Equal(p, at, b.Position)
			require.Equal(p, at, b.Head)
			wrong := at
			wrong.Chain[0] ^= 1
			b, err = p.store.Changes(p.Context(), wrong, all)
			require.Error(p, err)
			require.Equal(p, at, b.Head)
		}},
		{"INV3_WholeSetsWithinBytes", "A batch holds whole sets only, at least one if there is one, then as many as keep the contents within maxBytes.", func(p *probe) {
			const size = 1000
			for i := range 12 {
				set := conf.ChangeSet{}
				for j := range i%3 + 1 {
					set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint("k", j)), Content: strings.Repeat("x", size)})
				}
				p.commit(set)
			}
			whole := p.changes(conf.Position{})
			for _, limit := range []int64{0, 1, size, 2*size - 1, 2 * size, 3 * size, 5 * size, all} {
				changes, _ := follow(p, p.store, conf.Position{}, limit)
				require.Equal(p, whole, changes, "limit %d", limit)
				b, err := p.store.Changes(p.Context(), conf.Position{}, limit)
				require.NoError(p, err)
				var bytes, sets int64
				for _, c := range b.Changes {
					bytes += c.Size
					if c.Number == 0 {
						sets++
					}
				}
				require.True(p, sets == 1 || bytes <= limit, "%d sets of %d bytes within %d", sets, bytes, limit)
				if limit >= 3*size && limit < all {
					require.EqualValues(p, 2, sets, "as many sets as are within the limit")
				}
			}
		}},
		{"BoundedInChanges", "A batch has no more than MaxBatch changes after its first set, however small they are.", func(p *probe) {
			for i := range storage.MaxBatch/conf.MaxChanges + 1 {
				var set conf.ChangeSet
				for j := range conf.MaxChanges {
					set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint(i, ".", j)), Content: "x"})
				}
				p.commit(set)
			}
			b, err := p.store.Changes(p.Context(), conf.Position{}, all)
			require.NoError(p, err)
			require.Len(p, b.Changes, storage.MaxBatch)
			b, err = p.store.Changes(p.Context(), b.Position, all)
			require.NoError(p, err)
			require.Len(p, b.Changes, conf.MaxChanges)
			require.Equal(p, b.Head, b.Position)
		}},
		{"INV3_Resumable", "Changes can be had from the position after any set, in order, without gaps, each once.", func(p *probe) {
			var positions []conf.Position
			for i := range 20 {
				positions = append(positions, p.commit(put(fmt.Sprint("k", i%3), fmt.Sprint(i))))
			}
			whole := p.changes(conf.Position{})
			for i, at := range positions {
				require.Equal(p, revisions(whole[i+1:]), revisions(p.changes(at)))
			}
		}},
		{"OtherStore", "A position of another store is ErrOtherStore.", func(p *probe) {
			at := p.commit(put("a", "x"))
			at.Store[3] ^= 1
			_, err := p.store.Changes(p.Context(), at, all)
			require.ErrorIs(p, err, conf.ErrOtherStore)
		}},
		{"Epoch", "A position with another chain at its revision, or above the head, is ErrEpoch.", func(p *probe) {
			first := p.commit(put("a", "x"))
			head := p.commit(put("a", "y"))
			for _, at := range []conf.Position{first, head} {
				at.Chain[31] ^= 1
				_, err := p.store.Changes(p.Context(), at, all)
				require.ErrorIs(p, err, conf.ErrEpoch)
			}
			head.Revision++
			_, err := p.store.Changes(p.Context(), head, all)
			require.ErrorIs(p, err, conf.ErrEpoch)
			zero := conf.Position{Store: head.Store, Epoch: head.Epoch, Chain: head.Chain}
			_, err = p.store.Changes(p.Context(), zero, all)
			require.ErrorIs(p, err, conf.ErrEpoch)
		}},
	}
}

func historyClauses() []clause {
	return []clause{
		{"NewestFirst", "History returns the changes of a key, newest first, without contents.", func(p *probe) {
			p.commit(put("other", "x"))
			p.commit(put("a", "1"))
			p.commit(del("a"))
			p.commit(put("other", "y"))
			p.commit(put("a", "2"))
			changes := p.history(key("a"))
			require.Equal(p, []int64{5, 3, 2}, revisions(changes))
			require.Equal(p, conf.OpDelete, changes[1].Op)
			for _, c := range changes {
				require.Equal(p, key("a"), c.Key)
				require.Empty(p, c.Content)
			}
			require.Equal(p, conf.MD5Hex("2"), changes[0].MD5)
			require.EqualValues(p, 1, changes[0].Size)
		}},
		{"Pages", "History returns at most limit changes below revision before.", func(p *probe) {
			for i := range 10 {
				p.commit(put("a", fmt.Sprint(i)))
			}
			page := func(before int64, limit int) []int64 {
				changes, err := p.store.History(p.Context(), key("a"), before, limit)
				require.NoError(p, err)
				return revisions(changes)
			}
			require.Equal(p, []int64{10, 9, 8}, page(0, 3))
			require.Equal(p, []int64{7, 6, 5, 4}, page(8, 4))
			require.Equal(p, []int64{1}, page(2, 4))
			require.Empty(p, page(1, 4))
			require.Equal(p, []int64{10}, page(1<<40, 1))
		}},
		{"Never", "History of a key that never was is empty.", func(p *probe) {
			p.commit(put("a", "x"))
			require.Empty(p, p.history(key("b")))
		}},
	}
}
