package storagetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func commitClauses() []clause {
	return []clause{
		{"Empty", "A fresh store is at revision 0, of a random store id, in generation 1; no sets, no results.", func(p *probe) {
			require.Empty(p, p.try())
			head := p.head()
			require.Zero(p, head.Revision)
			require.Zero(p, head.Chain, "the chain of revision 0 is zero")
			require.NotZero(p, head.Store)
			require.EqualValues(p, 1, head.Epoch.Generation)
			require.NotZero(p, head.Epoch.ID)
			other := p.open(p.T)
			page, err := other.Scan(p.Context(), conf.ScanRequest{Limit: 1})
			require.NoError(p, err)
			require.NotEqual(p, head.Store, page.Position.Store, "each store has an id of its own")
			require.NoError(p, other.Close())
		}},
		{"DenseRevisions", "A committed set takes the next revision: dense, from 1, in commit order, many changes or one.", func(p *probe) {
			for i := range 5 {
				set := put("a", fmt.Sprint(i))
				set.Drafts = append(set.Drafts, conf.Draft{Key: key("b"), Content: fmt.Sprint(i)})
				require.EqualValues(p, i+1, p.commit(set).Revision)
			}
			for i, r := range p.try(put("c", "1"), put("c", "2"), put("d", "1")) {
				require.EqualValues(p, 6+i, r.Position.Revision)
			}
			require.EqualValues(p, 8, p.head().Revision)
			require.EqualValues(p, 7, p.read("c").Revision)
		}},
		{"S5_FailedSetsLeaveNoHole", "A set that fails takes no revision, in a batch of its own or among others.", func(p *probe) {
			want := int64(0)
			for i := range 20 {
				sets := make([]conf.ChangeSet, 50)
				for j := range sets {
					sets[j] = put(fmt.Sprint("k", j), fmt.Sprint(i))
					if j%10 == 9 {
						sets[j] = putIf("k0", "lost", 1<<40)
					}
				}
				for j, r := range p.try(sets...) {
					if j%10 == 9 {
						require.ErrorIs(p, r.Err, conf.ErrConflict)
						continue
					}
					want++
					require.NoError(p, r.Err)
					require.Equal(p, want, r.Position.Revision)
				}
			}
			require.Len(p, p.changes(conf.Position{}), int(want))
		}},
		{"AllOrNothing", "Each set is all or nothing: one condition that fails undoes all of it.", func(p *probe) {
			p.commit(put("a", "1"))
			set := putIf("b", "2", 7)
			set.Drafts = append(set.Drafts, conf.Draft{Key: key("a"), Content: "2"}, conf.Draft{Key: key("c"), Content: "2"})
			p.refused(conf.ErrConflict, set)
			require.Equal(p, "1", p.read("a").Content)
			p.absent("b")
			p.absent("c")
			require.Len(p, p.history(key("a")), 1)
			set = del("nothing")
			set.Drafts = put("a", "3").Drafts
			p.refused(conf.ErrNotFound, set)
			require.Equal(p, "1", p.read("a").Content)
		}},
		{"INV7_Everywhere", "A committed set is in the current view, in the log and in the history, with one revision.", func(p *probe) {
			p.commit(put("gone", "x"))
			set := put("a", "1")
			set.Drafts = append(set.Drafts, conf.Draft{Key: key("b"), Content: "2"})
			set.Deletes = del("gone").Deletes
			at := p.commit(set)
			require.Equal(p, at.Revision, p.read("a").Revision)
			require.Equal(p, at.Revision, p.read("b").Revision)
			p.absent("gone")
			changes := p.changes(conf.Position{})[1:]
			require.Equal(p, []int64{2, 2, 2}, revisions(changes))
			for i, c := range changes {
				require.Equal(p, i, c.Number)
				require.Equal(p, 3, c.Count)
				require.Equal(p, c.Revision, p.history(c.Key)[0].Revision)
			}
		}},
		{"ToldChanges", "The changes of a result, where there are any, are those that Changes returns.", func(p *probe) {
			p.commit(put("gone", "x"))
			set := put("a", "1")
			set.Comment, set.Drafts[0].Type, set.Drafts[0].Meta = "why", "json", map[string]string{"k": "v"}
			set.Caller = conf.Caller{Principal: conf.Principal{Name: "ann"}, Address: "10.0.0.1:99"}
			set.Deletes = del("gone").Deletes
			at := p.head()
			results := p.try(set, putIf("a", "never", 77), withRequest(put("b", ""), "r"))
			again := p.try(withRequest(put("b", ""), "r"))
			set.Drafts[0].Meta["k"] = "of the caller's"
			require.Empty(p, results[1].Changes)
			require.Empty(p, again[0].Changes, "nothing was committed")
			if results[0].Changes == nil {
				return
			}
			told := append(slices.Clone(results[0].Changes), results[2].Changes...)
			require.Equal(p, p.changes(at), told)
			to, err := at.Follow(told)
			require.NoError(p, err)
			require.Equal(p, results[2].Position, to)
		}},
		{"LaterSetsSeeEarlier", "Later sets of a batch see the effects of earlier ones.", func(p *probe) {
			r := p.try(putIf("a", "1", 0), putIf("a", "2", 1), putIf("a", "3", 1), del("a"), del("a"), putIf("a", "4", 0))
			require.NoError(p, r[0].Err)
			require.NoError(p, r[1].Err)
			require.ErrorIs(p, r[2].Err, conf.ErrConflict)
			require.NoError(p, r[3].Err)
			require.ErrorIs(p, r[4].Err, conf.ErrNotFound)
			require.NoError(p, r[5].Err)
			require.EqualValues(p, 4, p.read("a").Revision)
		}},
		{"IfRevision", "IfRevision compares with the revision of the current entry, 0 where there is none, and fails with ErrConflict that has the key and the current revision.", func(p *probe) {
			e := p.refused(conf.ErrConflict, putIf("a", "x", 3))
			require.Equal(p, key("a"), e.Key)
			require.Zero(p, e.Current)
			first := p.commit(putIf("a", "x", 0)).Revision
			e = p.refused(conf.ErrConflict, putIf("a", "y", 0))
			require.Equal(p, first, e.Current)
			second := p.commit(putIf("a", "y", first)).Revision
			p.commit(putIf("a", "x", second))
			e = p.refused(conf.ErrConflict, putIf("a", "z", first))
			require.EqualValues(p, 3, e.Current, "the same content again is another revision")
			p.commit(del("a"))
			p.refused(conf.ErrConflict, putIf("a", "z", 3))
			p.commit(putIf("a", "z", 0))
		}},
		{"DeleteIfRevision", "A Delete takes IfRevision as a Draft does; where there is no entry, it is a conflict.", func(p *probe) {
			at := p.commit(put("a", "x")).Revision
			set := del("a")
			set.Deletes[0].IfRevision = conf.Revision(at + 1)
			require.Equal(p, at, p.refused(conf.ErrConflict, set).Current)
			set.Deletes[0].IfRevision = &at
			p.commit(set)
			p.absent("a")
			p.refused(conf.ErrConflict, set)
		}},
		{"WhatIsNotSaidStays", "A Draft that says no Type, or no Meta, keeps what the key has; a key without an entry gets the type of its data id.", func(p *probe) {
			says := func(dataID, typ string, meta map[string]string) conf.ChangeSet {
				set := put(dataID, "x")
				set.Drafts[0].Type, set.Drafts[0].Meta = typ, meta
				return set
			}
			is := func(dataID, typ string, meta map[string]string) {
				p.Helper()
				e, c := p.read(dataID), p.history(key(dataID))[0]
				require.Equal(p, typ, e.Type)
				require.Equal(p, meta, e.Meta)
				require.Equal(p, typ, c.Type, "in the history")
				require.Equal(p, meta, c.Meta, "in the history")
			}
			owner, none := map[string]string{"owner": "team a"}, map[string]string(nil)
			p.commit(says("a.json", "", nil))
			is("a.json", "json", none)
			p.commit(says("a.json", "yaml", owner))
			p.commit(says("a.json", "", nil))
			is("a.json", "yaml", owner)
			p.commit(says("a.json", "toml", nil))
			is("a.json", "toml", owner)
			other := map[string]string{"other": "1"}
			p.commit(says("a.json", "", other))
			is("a.json", "toml", other)
			p.commit(del("a.json"))
			p.commit(says("a.json", "", nil))
			is("a.json", "json", none)
			p.try(says("b", "yaml", owner), says("b", "", nil), withRequest(says("b", "", nil), "r"))
			is("b", "yaml", owner)
		}},
		{"KeptTypeIsHeeded", "A Draft without Type and AllowEmpty whose Content says nothing in the type that its key keeps fails the set with ErrInvalid, with the key.", func(p *probe) {
			typed := put("a", "a: 1")
			typed.Drafts[0].Type = "yaml"
			p.commit(typed)
			require.Equal(p, key("a"), p.refused(conf.ErrInvalid, put("a", "# only a comment")).Key)
			allowed := put("a", "# only a comment")
			allowed.Drafts[0].AllowEmpty = true
			p.commit(allowed)
			other := put("a", "# a text")
			other.Drafts[0].Type = "text"
			p.commit(other)
			p.commit(put("a", "# another text"))
		}},
		{"Reset", "A Draft with Reset has its Type and its Meta as given, also where they are empty.", func(p *probe) {
			set := put("a.json", "1")
			set.Drafts[0].Type, set.Drafts[0].Meta = "yaml", map[string]string{"k": "v"}
			p.commit(set)
			reset := put("a.json", "2")
			reset.Drafts[0].Reset, reset.Drafts[0].Meta = true, map[string]string{"n": "m"}
			p.commit(reset)
			require.Empty(p, p.read("a.json").Type)
			require.Equal(p, map[string]string{"n": "m"}, p.read("a.json").Meta)
			p.commit(put("a.json", "3"))
			require.Empty(p, p.read("a.json").Type, "no type is a type that stays")
			reset.Drafts[0].Type, reset.Drafts[0].Meta = "toml", nil
			p.commit(reset)
			require.Equal(p, "toml", p.read("a.json").Type)
			require.Nil(p, p.read("a.json").Meta)
			reset = put("new.json", "1")
			reset.Drafts[0].Reset = true
			p.commit(reset)
			require.Empty(p, p.read("new.json").Type)
		}},
		{"Checks", "Checks are conditions on keys that the set does not write.", func(p *probe) {
			freeze := p.commit(put("freeze", "no")).Revision
			set := put("a", "1")
			set.Checks = []conf.Check{{Key: key("other"), Revision: 0}, {Key: key("freeze"), Revision: freeze}}
			p.commit(set)
			require.Equal(p, freeze, p.read("freeze").Revision, "a check writes nothing")
			p.commit(put("freeze", "yes"))
			e := p.refused(conf.ErrConflict, set)
			require.Equal(p, key("freeze"), e.Key)
			require.EqualValues(p, 3, e.Current)
			set.Checks = []conf.Check{{Key: key("a"), Revision: 0}}
			set.Drafts = put("b", "1").Drafts
			p.refused(conf.ErrConflict, set)
		}},
		{"DeleteOfNothing", "A Delete of a key that has no entry fails the set with ErrNotFound, with the key.", func(p *probe) {
			require.Equal(p, key("a"), p.refused(conf.ErrNotFound, del("a")).Key)
			p.commit(put("a", "x"))
			p.commit(del("a"))
			p.refused(conf.ErrNotFound, del("a"))
		}},
		{"Bounded", "A call that has too many changes, or too many bytes, for one transaction fails with ErrTooLarge; one set is never too much.", func(p *probe) {
			large := put("a", strings.Repeat("x", conf.DefaultMaxContent))
			_, err := p.store.Commit(p.Context(), []conf.ChangeSet{large, large, large, large})
			require.ErrorIs(p, err, conf.ErrTooLarge)
			var many conf.ChangeSet
			for i := range conf.MaxChanges {
				many.Drafts = append(many.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: "x"})
			}
			sets := slices.Repeat([]conf.ChangeSet{many}, conf.MaxCommitChanges/conf.MaxChanges)
			_, err = p.store.Commit(p.Context(), append(sets, put("a", "x")))
			require.ErrorIs(p, err, conf.ErrTooLarge)
			p.absent("a")
			require.Zero(p, p.head().Revision)
			require.EqualValues(p, len(sets), p.try(sets...)[len(sets)-1].Position.Revision)
		}},
		{"ManyChecks", "A set may have twice as many Checks as changes, because rights add their own; each is compared.", func(p *probe) {
			p.commit(put("there", "x"))
			var set conf.ChangeSet
			for i := range conf.MaxChanges {
				set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: "x"})
			}
			for i := range 2*conf.MaxChanges - 1 {
				set.Checks = append(set.Checks, conf.Check{Key: key(fmt.Sprint("c", i))})
			}
			set.Checks = append(set.Checks, conf.Check{Key: key("there"), Revision: 2})
			require.Equal(p, key("there"), p.refused(conf.ErrConflict, set).Key)
			set.Checks[len(set.Checks)-1].Revision = 1
			require.EqualValues(p, 2, p.commit(set).Revision)
		}},
		{"ContextEnded", "A context that has ended fails the call with its error, and nothing is committed.", func(p *probe) {
			ctx, cancel := context.WithCancel(p.Context())
			cancel()
			_, err := p.store.Commit(ctx, []conf.ChangeSet{put("a", "x")})
			require.ErrorIs(p, err, context.Canceled)
			_, err = p.store.Read(ctx, key("a"), 0)
			require.ErrorIs(p, err, context.Canceled)
			_, err = p.store.Changes(ctx, conf.Position{}, all)
			require.ErrorIs(p, err, context.Canceled)
			p.absent("a")
			require.EqualValues(p, 1, p.commit(put("a", "x")).Revision)
		}},
		{"OwnCopy", "What the caller does with its set afterwards does not reach the store.", func(p *probe) {
			set := put("a", "x")
			set.Drafts[0].Meta = map[string]string{"k": "v"}
			p.commit(set)
			set.Drafts[0].Meta["k"] = "changed"
			require.Equal(p, "v", p.read("a").Meta["k"])
			require.Equal(p, "v", p.changes(conf.Position{})[0].Meta["k"])
		}},
	}
}

func withRequest(set conf.ChangeSet, id string) conf.ChangeSet {
	set.RequestID = id
	return set
}

func requestClauses() []clause {
	withID := func(set conf.ChangeSet, id, principal string) conf.ChangeSet {
		set.RequestID, set.Caller.Principal.Name = id, principal
		return set
	}
	return []clause{
		{"Replayed", "A known RequestID is looked up before the conditions: the same set gets the first outcome and changes nothing.", func(p *probe) {
			set := withID(putIf("a", "x", 0), "r1", "alice")
			first := p.commit(set)
			p.commit(put("a", "y"))
			again := p.try(set)[0]
			require.NoError(p, again.Err)
			require.True(p, again.Replayed)
			require.Equal(p, first, again.Position)
			require.Equal(p, "y", p.read("a").Content)
			require.EqualValues(p, 2, p.head().Revision)
		}},
		{"Defect_S10_LateRetry", "A retry that comes late changes nothing, whatever was published since.", func(p *probe) {
			hung := withID(put("a", "hang1"), "r1", "")
			p.commit(hung)
			p.commit(withID(put("a", "hang2"), "r2", ""))
			p.try(hung)
			require.Equal(p, "hang2", p.read("a").Content)
		}},
		{"SameBatch", "A set that is there twice in one batch is committed once.", func(p *probe) {
			set := withID(put("a", "x"), "r1", "")
			r := p.try(set, set)
			require.False(p, r[0].Replayed)
			require.True(p, r[1].Replayed)
			require.Equal(p, r[0].Position, r[1].Position)
		}},
		{"ReplayedAmongMany", "Known RequestIDs in a batch of many new ones: each set has its own outcome, and revisions are dense.", func(p *probe) {
			old, spoilt := withID(put("a", "1"), "old", ""), withID(put("b", "1"), "spoilt", "")
			first, second := p.commit(old), p.commit(spoilt)
			var sets []conf.ChangeSet
			for i := range 200 {
				sets = append(sets, withID(put(fmt.Sprint("k", i), "1"), fmt.Sprint("new-", i), ""))
			}
			sets[150] = old
			sets[160] = withID(put("b", "2"), "spoilt", "")
			sets[170] = sets[3]
			want := second.Revision
			for i, r := range p.try(sets...) {
				switch i {
				case 150:
					require.Equal(p, conf.Result{Position: first, Replayed: true}, r)
				case 160:
					require.ErrorIs(p, r.Err, conf.ErrInvalid)
				case 170:
					require.True(p, r.Replayed)
					require.EqualValues(p, second.Revision+4, r.Position.Revision)
				default:
					want++
					require.NoError(p, r.Err)
					require.False(p, r.Replayed)
					require.Equal(p, want, r.Position.Revision)
				}
			}
			require.Len(p, p.changes(conf.Position{}), int(want))
		}},
		{"ReplayedThoughItsConditionFailsNow", "A known RequestID among new ones has its first outcome though its condition does not hold any more, and revisions are dense.", func(p *probe) {
			old := withID(putIf("a", "1", 0), "old", "")
			first := p.commit(old)
			var sets []conf.ChangeSet
			for i := range 5 {
				sets = append(sets, withID(put(fmt.Sprint("k", i), "1"), fmt.Sprint("new-", i), ""))
			}
			sets = append(sets, old, withID(put("k5", "1"), "new-5", ""))
			want := first.Revision
			for i, r := range p.try(sets...) {
				require.NoError(p, r.Err)
				require.Equal(p, i == 5, r.Replayed)
				if i == 5 {
					require.Equal(p, first, r.Position)
					continue
				}
				want++
				require.Equal(p, want, r.Position.Revision)
			}
			require.Len(p, p.changes(conf.Position{}), int(want))
		}},
		{"ResetIsAnother", "A set with Reset is another set than one without.", func(p *probe) {
			set := withID(put("a", "x"), "r1", "alice")
			p.commit(set)
			set.Drafts[0].Reset = true
			p.refused(conf.ErrInvalid, set)
		}},
		{"BoundToAsked", "A RequestID is bound to Asked where it is set: the same is the same request whatever else the set has, and another is another.", func(p *probe) {
			asked := func(hash byte, set conf.ChangeSet) conf.ChangeSet {
				set.Asked = [32]byte{hash}
				return withID(set, "r1", "alice")
			}
			first := p.commit(asked(1, put("a", "x")))
			p.commit(put("a", "y"))
			changed := asked(1, putIf("a", "z", 7))
			changed.Checks = []conf.Check{{Key: key("b"), Revision: 9}}
			changed.Origin, changed.Comment = "cli", "other"
			again := p.try(changed)[0]
			require.NoError(p, again.Err)
			require.True(p, again.Replayed)
			require.Equal(p, first, again.Position)
			require.Equal(p, "y", p.read("a").Content)
			again = p.try(put("c", "1"), changed)[1]
			require.True(p, again.Replayed, "beside another set")
			p.refused(conf.ErrInvalid, asked(2, put("a", "x")))
			p.refused(conf.ErrInvalid, withID(put("a", "x"), "r1", "alice"))

			plain := withID(put("b", "x"), "r2", "alice")
			at := p.commit(plain)
			same := withID(put("b", "other"), "r2", "alice")
			same.Asked = plain.Hash()
			require.Equal(p, conf.Result{Position: at, Replayed: true}, p.try(same)[0], "without Asked it is bound to Hash")
		}},
		{"Generation", "A set of another generation than that of the present epoch is ErrEpoch, unless its RequestID is known.", func(p *probe) {
			first := p.commit(put("a", "x"))
			set := put("a", "y")
			set.Generation = first.Epoch.Generation
			at := p.commit(withID(set, "r1", "alice"))
			forked, err := p.store.Fork(p.Context(), conf.Position{})
			require.NoError(p, err)
			p.refused(conf.ErrEpoch, set)
			require.Equal(p, conf.Result{Position: at, Replayed: true}, p.try(withID(set, "r1", "alice"))[0])
			set.Generation = forked.Epoch.Generation
			p.commit(set)
		}},
		{"OtherSet", "Another set under a known RequestID is ErrInvalid.", func(p *probe) {
			p.commit(withID(put("a", "x"), "r1", "alice"))
			p.refused(conf.ErrInvalid, withID(put("a", "y"), "r1", "alice"))
		}},
		{"Scoped", "A RequestID is scoped to the principal, however the two are spelt.", func(p *probe) {
			p.commit(withID(put("a", "1"), "r1", "alice"))
			require.False(p, p.try(withID(put("a", "1"), "r1", "bob"))[0].Replayed)
			require.False(p, p.try(withID(put("a", "1"), "1", "alicer"))[0].Replayed)
			require.False(p, p.try(withID(put("a", "1"), "er1", "alic"))[0].Replayed)
		}},
		{"OnlyCommitted", "Only committed sets leave a RequestID.", func(p *probe) {
			p.refused(conf.ErrConflict, withID(putIf("a", "x", 5), "r1", ""))
			r := p.try(withID(put("a", "y"), "r1", ""))[0]
			require.NoError(p, r.Err)
			require.False(p, r.Replayed)
		}},
		{"CallerNotBound", "A retry from another address, after a reconnection, is the same request.", func(p *probe) {
			set := withID(put("a", "x"), "r1", "alice")
			p.commit(set)
			set.Caller.Address = "192.0.2.7:4711"
			require.True(p, p.try(set)[0].Replayed)
		}},
	}
}
