package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/storage"
)

// pruned replaces p's store with one that keeps little: everything is old at once, and only
// the counts apply.
func (p *probe) pruned(versions, changes int) (prune func()) {
	p.Helper()
	return p.keeping(storage.Retention{Age: time.Nanosecond, Versions: versions, Changes: changes})
}

// keeping replaces p's store with one that has the retention r.
func (p *probe) keeping(r storage.Retention) (prune func()) {
	p.Helper()
	require.NoError(p, p.store.Close())
	s := p.retention(p.T, r)
	p.store = s
	return func() {
		p.Helper()
		require.NoError(p, s.Prune(p.Context()))
	}
}

func retentionClauses() []clause {
	return []clause{
		{"S20_Compacted", "Changes that are no longer kept are ErrCompacted, never silence; the kept ones follow from the last of the others.", func(p *probe) {
			n := campaign.Scale(p, 500, 5_000)
			keep := n / 5
			prune := p.pruned(3, keep)
			positions := []conf.Position{{}}
			for i := range n {
				switch i % 10 {
				case 8:
					positions = append(positions, p.commit(del("recreated")))
				case 9:
					positions = append(positions, p.commit(del("gone")))
				case 7:
					positions = append(positions, p.commit(put("gone", "x")))
				default:
					positions = append(positions, p.commit(put([]string{"a", "b", "recreated"}[i%3], fmt.Sprint(i))))
				}
			}
			prune()
			compacted, kept := 0, 0
			for i, at := range positions {
				b, err := p.store.Changes(p.Context(), at, all)
				require.Equal(p, positions[n], b.Head)
				if err == nil {
					next, err := at.Follow(b.Changes)
					require.NoError(p, err)
					require.Equal(p, b.Position.Chain, next.Chain)
					require.Equal(p, n-i, len(b.Changes))
					kept++
					continue
				}
				require.ErrorIs(p, err, conf.ErrCompacted)
				require.Zero(p, kept, "kept changes are contiguous")
				compacted++
			}
			for i, at := range positions[:compacted] {
				got, err := p.store.PositionAt(p.Context(), at.Revision)
				require.ErrorIs(p, err, conf.ErrCompacted, "position at revision %d", i)
				require.Zero(p, got)
			}
			for i := compacted; i <= n; i++ {
				got, err := p.store.PositionAt(p.Context(), int64(i))
				require.NoError(p, err)
				require.Equal(p, positions[i], got, "from the horizon on each position is known")
			}
			require.GreaterOrEqual(p, kept, keep, "the floor")
			require.Greater(p, compacted, n/2, "history is pruned")
			at, err := p.store.Fork(p.Context(), positions[compacted])
			require.NoError(p, err)
			require.Equal(p, positions[n], at, "what the log begins after is not lost")
			// A reader recovers by a scan, and then by the changes after it.
			require.Equal(p, []string{"a", "b"}, keysOf(scan(p, p.store, conf.ScanRequest{Limit: 2})))
		}},
		{"LiveStays", "The value that a key has now is never removed, however old; reading it by revision works.", func(p *probe) {
			prune := p.pruned(1, 5)
			at := p.commit(fullSet())
			for i := range 50 {
				p.commit(put("a", fmt.Sprint(i)))
			}
			prune()
			e, err := p.store.Read(p.Context(), fullKey(), 0)
			require.NoError(p, err)
			checkFullEntry(p, e, at.Revision)
			e, err = p.store.Read(p.Context(), fullKey(), at.Revision)
			require.NoError(p, err)
			checkFullEntry(p, e, at.Revision)
			require.Len(p, p.history(fullKey()), 1)
			_, err = p.store.Changes(p.Context(), conf.Position{}, all)
			require.ErrorIs(p, err, conf.ErrCompacted)
		}},
		{"Versions", "A key keeps its newest versions, and those in the log; the others are ErrCompacted.", func(p *probe) {
			prune := p.pruned(4, 10)
			for i := range 30 {
				p.commit(put("a", fmt.Sprint(i)))
			}
			for i := range 40 {
				p.commit(put("b", fmt.Sprint(i)))
			}
			prune()
			require.Equal(p, []int64{30, 29, 28, 27}, revisions(p.history(key("a"))))
			require.Equal(p, []int64{70, 69, 68, 67, 66, 65, 64, 63, 62, 61}, revisions(p.history(key("b"))))
			for revision := range int64(31) {
				e, err := p.store.Read(p.Context(), key("a"), revision)
				if revision == 0 || revision >= 27 {
					require.NoError(p, err)
					require.Equal(p, fmt.Sprint(e.Revision-1), e.Content)
				} else {
					require.ErrorIs(p, err, conf.ErrCompacted)
				}
			}
			_, err := p.store.Read(p.Context(), key("a"), 60)
			require.ErrorIs(p, err, conf.ErrCompacted, "the last revision that has left the log")
			_, err = p.store.Read(p.Context(), key("a"), 61)
			require.ErrorIs(p, err, conf.ErrNotFound, "the first that is in it")
		}},
		{"Deleted", "The versions of a deleted key go once its tombstone has left the log; then the key may begin anew.", func(p *probe) {
			prune := p.pruned(50, 5)
			p.commit(put("a", "1"))
			p.commit(put("a", "2"))
			p.commit(del("a"))
			for i := range 4 {
				p.commit(put("b", fmt.Sprint(i)))
			}
			prune()
			require.Len(p, p.history(key("a")), 3, "the tombstone is in the log")
			p.commit(put("b", "x"))
			prune()
			require.Empty(p, p.history(key("a")))
			p.absent("a")
			_, err := p.store.Read(p.Context(), key("a"), 1)
			require.ErrorIs(p, err, conf.ErrCompacted)
			p.commit(putIf("a", "3", 0))
			require.Len(p, p.history(key("a")), 1)
			require.Equal(p, "3", p.read("a").Content)
			for i := range 20 {
				p.commit(put("c", fmt.Sprint(i)))
			}
			prune()
			require.Equal(p, "3", p.read("a").Content)
		}},
		{"Sets", "A set leaves the log whole.", func(p *probe) {
			prune := p.pruned(1, 10)
			for range 10 {
				set := conf.ChangeSet{}
				for i := range 7 {
					set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: "x"})
				}
				p.commit(set)
				prune()
			}
			head := p.head()
			b, err := p.store.Changes(p.Context(), conf.Position{}, all)
			require.ErrorIs(p, err, conf.ErrCompacted)
			require.Equal(p, head, b.Head)
			changes := p.history(key("k0"))
			require.Equal(p, []int64{10, 9}, revisions(changes), "14 changes, as 7 would be less than 10")
		}},
		{"Bytes", "The oldest sets leave the log, however young and few, while those after them have its bytes of content; versions stay by their count.", func(p *probe) {
			prune := p.keeping(storage.Retention{Versions: 2, Bytes: 1000})
			content := strings.Repeat("x", 100)
			at := p.commit(fullSet())
			for range 5 {
				p.commit(put("b", content))
			}
			for range 20 {
				p.commit(put("a", content))
			}
			prune()
			require.Equal(p, []int64{26, 25, 24, 23, 22, 21, 20, 19, 18, 17}, revisions(p.history(key("a"))))
			require.Equal(p, []int64{6, 5}, revisions(p.history(key("b"))), "what floods the log takes no versions from others")
			e, err := p.store.Read(p.Context(), fullKey(), 0)
			require.NoError(p, err)
			checkFullEntry(p, e, at.Revision)
			_, err = p.store.Changes(p.Context(), at, all)
			require.ErrorIs(p, err, conf.ErrCompacted)

			set := conf.ChangeSet{}
			for i := range 11 {
				set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: content})
			}
			before := p.head()
			after := p.commit(set)
			prune()
			b, err := p.store.Changes(p.Context(), before, all)
			require.NoError(p, err, "the newest set stays, however large")
			require.Len(p, b.Changes, 11)
			require.Equal(p, []int64{26, 25}, revisions(p.history(key("a"))))
			for range 9 {
				p.commit(put("a", content))
			}
			prune()
			_, err = p.store.Changes(p.Context(), before, all)
			require.NoError(p, err, "a set leaves whole, once the sets after it have the bytes")
			p.commit(put("a", content))
			prune()
			_, err = p.store.Changes(p.Context(), before, all)
			require.ErrorIs(p, err, conf.ErrCompacted)
			b, err = p.store.Changes(p.Context(), after, all)
			require.NoError(p, err)
			require.Len(p, b.Changes, 10)
		}},
		{"BytesExactly", "A set stays in the log while those after it lack one byte of its bound.", func(p *probe) {
			for bound, kept := range map[int64]int{999: 10, 1000: 10, 1001: 11} {
				prune := p.keeping(storage.Retention{Versions: 1, Bytes: bound})
				for range 20 {
					p.commit(put("a", strings.Repeat("x", 100)))
				}
				prune()
				require.Len(p, p.history(key("a")), kept, "%d bytes", bound)
			}
		}},
		{"Requests", "A RequestID is known for its 24 hours whatever retention does.", func(p *probe) {
			prune := p.pruned(1, 1)
			set := put("a", "x")
			set.RequestID = "r1"
			at := p.commit(set)
			for i := range 100 {
				p.commit(put("a", fmt.Sprint(i)))
			}
			prune()
			r := p.try(set)[0]
			require.True(p, r.Replayed)
			require.Equal(p, at, r.Position)
		}},
		{"Fork", "Forks leave the log as any change does, and the epoch stays.", func(p *probe) {
			prune := p.pruned(1, 3)
			p.commit(put("a", "x"))
			at, err := p.store.Fork(p.Context(), conf.Position{})
			require.NoError(p, err)
			for i := range 10 {
				p.commit(put("a", fmt.Sprint(i)))
			}
			prune()
			require.Equal(p, at.Epoch, p.head().Epoch)
			require.EqualValues(p, 13, p.commit(put("a", "y")).Revision)
		}},
		{"Often", "Pruning at any time changes nothing that is kept.", func(p *probe) {
			prune := p.pruned(2, 8)
			for i := range 100 {
				p.commit(put(fmt.Sprint("k", i%5), fmt.Sprint(i)))
				if i%7 == 0 {
					prune()
					prune()
				}
				entries := scan(p, p.store, conf.ScanRequest{Limit: 10, Contents: true})
				require.Len(p, entries, min(i+1, 5))
				require.True(p, slices.ContainsFunc(entries, func(e conf.Entry) bool { return e.Content == fmt.Sprint(i) }))
			}
		}},
	}
}
