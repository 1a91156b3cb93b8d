package govern

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// G4: a retry at another server, after the author lost the right, gets the first outcome. So
// does one that a guard would refuse by now, and one of a document that exists by now.
func TestG4_ARetryAfterThePolicyMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a, b := open(t, store), open(t, store)
		a.setUp(ModeClosed, team("a")...)
		req := &conf.CommitRequest{Set: conf.ChangeSet{RequestID: "r-1", Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}}}
		first, err := a.As("token:a.releaser").Commit(t.Context(), req)
		require.NoError(t, err)
		require.False(t, first.Replayed)
		again, err := b.As("token:a.releaser").Commit(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, &conf.CommitResponse{Position: first.Position, Replayed: true}, again)

		a.write(&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Frozen: &Freeze{By: root, Reason: "night"}})
		again, err = b.As("token:a.releaser").Commit(t.Context(), req)
		require.NoError(t, err, "frozen since")
		assert.Equal(t, first.Position, again.Position)
		a.write(granted("a.daily"))
		again, err = b.As("token:a.releaser").Commit(t.Context(), req)
		require.NoError(t, err, "revoked since")
		assert.Equal(t, first.Position, again.Position)

		time.Sleep(time.Second) // b knows
		again, err = b.As("token:a.releaser").Commit(t.Context(), req)
		require.NoError(t, err, "and the id is looked up all the same")
		assert.True(t, again.Replayed)
		other := *req
		other.Set.Drafts = []conf.Draft{draftFor(t, "a.daily/g/k", "another")}
		_, err = b.As("token:a.releaser").Commit(t.Context(), &other)
		require.ErrorIs(t, err, conf.ErrInvalid, "the id is that of another set")
		_, err = b.As("token:a.reader").Commit(t.Context(), req)
		isDenied(t, err, "a.daily") // ids are those of a principal
		other.Set.RequestID = "r-2"
		_, err = b.As("token:a.releaser").Commit(t.Context(), &other)
		isDenied(t, err, "a.daily")
		resp, err := a.fetch(root, "a.daily/g/k")
		require.NoError(t, err)
		assert.Equal(t, "v", resp.Entry.Content, "a look at an id commits nothing")
	})
}

// What the Centre adds to a set does not change what the request id is bound to, and
// documents that it stamps neither.
func TestG4_WhatTheCentreAddsIsNotWhatWasAsked(t *testing.T) {
	s := governed(t, team("a")...)
	set := s.drafts(&Token{Name: "fresh", Secrets: []Secret{{SHA256: hexSum("x")}}})
	set.RequestID = "r-1"
	req := &conf.CommitRequest{Set: set}
	first, err := s.As(root).Commit(t.Context(), req)
	require.NoError(t, err)
	entry, err := s.fetch(root, "_govern/token/fresh")
	require.NoError(t, err)
	assert.Contains(t, entry.Entry.Content, `"generation": 1`, "stamped")
	s.write(&Grants{Scope: AllScope(), Grants: []Grant{{Subject: root, Role: RoleAdministrator}, {Subject: "token:fresh", Role: RoleReader}}})
	again, err := s.As(root).Commit(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, first.Position, again.Position)
	assert.True(t, again.Replayed)
}

// How often request ids of refused sets are looked up is limited, and never by saying that
// nothing was committed.
func TestG4_LookUpsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		refused, busy := 0, 0
		for i := range 100 {
			set := conf.ChangeSet{RequestID: fmt.Sprint("r-", i), Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}}
			_, err := s.As("token:a.reader").Commit(t.Context(), &conf.CommitRequest{Set: set})
			var e *conf.Error
			require.ErrorAs(t, err, &e)
			switch {
			case errors.Is(err, conf.ErrDenied):
				refused++
			default:
				require.ErrorIs(t, err, conf.ErrOverloaded)
				assert.NotZero(t, e.RetryAfter)
				busy++
			}
		}
		assert.Equal(t, probeBurst, refused)
		assert.Equal(t, 100-probeBurst, busy)
		isDenied(t, s.release("token:a.reader", "a.daily/g/k", "v"), "a.daily") // without an id nothing is looked up
		require.NoError(t, s.release("token:a.releaser", "a.daily/g/k", "v"))
		time.Sleep(time.Second)
		set := conf.ChangeSet{RequestID: "later", Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}}
		_, err := s.As("token:a.reader").Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.ErrorIs(t, err, conf.ErrDenied)
	})
}

// A freeze or a revocation at A binds a publish at B, whose feed stands still.
func TestR6_AFreezeAtAAndAPublishAtAStalledB(t *testing.T) {
	for name, change := range map[string]Document{
		"freeze":     &Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Frozen: &Freeze{By: root, Reason: "night"}},
		"revocation": granted("a.daily", "token:a.reader", RoleReader),
		"role":       &Role{Name: RoleReleaser, Verbs: []string{"read"}},
		"retirement": &Token{Name: "a.releaser", Retired: true},
		"deletion":   &Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Deleted: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				a := open(t, store)
				a.setUp(ModeClosed, team("a")...)
				a.publish("a.daily/g/k", "v")
				b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
				require.NoError(t, b.release("token:a.releaser", "a.daily/g/k", "w"))
				time.Sleep(time.Second)
				a.write(change)
				err := b.release("token:a.releaser", "a.daily/g/k", "too late")
				require.ErrorIs(t, err, conf.ErrDenied)
				resp, err := a.fetch(root, "a.daily/g/k")
				if err == nil {
					assert.Equal(t, "w", resp.Entry.Content)
				}
			})
		})
	}
}

// A change of what permitted a set, that leaves it permitted, is no conflict of the caller's.
func TestAConflictOverTheCentresConditionsStaysInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, team("a")...)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		a.write(granted("a.daily", "token:a.reader", RoleReader, "token:a.releaser", RoleReleaser, "user:root", RoleReader))
		require.NoError(t, b.release("token:a.releaser", "a.daily/g/k", "v"))

		// Where the documents change each time, the caller is told that nothing was done.
		moving := &movedAlong{Store: store, t: t, a: a}
		c := open(t, moving, diamond.WithFeedInterval(24*time.Hour))
		moving.on = true
		set := conf.ChangeSet{Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "w")}, Checks: []conf.Check{{Key: keyOf(t, "a.daily/g/other")}}}
		_, err := c.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.False(t, set.Settles(err))
		assert.Equal(t, maxDecisions, moving.times)
		moving.on = false
		_, err = c.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.NoError(t, err)

		// A conflict over the caller's own condition is the caller's.
		set.Checks[0].Revision = 77
		_, err = c.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.ErrorIs(t, err, conf.ErrConflict)
		var e *conf.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, "other", e.Key.DataID)
	})
}

// movedAlong is a storage of which another server changes the grants before each commit.
type movedAlong struct {
	*memstore.Store
	t     *testing.T
	a     *stage
	on    bool
	times int
}

func (m *movedAlong) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if m.on {
		m.times++
		m.a.write(granted("a.daily", "token:a.releaser", RoleReleaser, "user:root", []string{RoleReader, RoleWriter}[m.times%2]))
	}
	return m.Store.Commit(ctx, sets)
}

// A caller cannot put a condition of its own in the place of the Centre's, so that a revoked
// right counts at a server that has not heard of it.
func TestACallersConditionDoesNotReplaceTheCentres(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, team("a")...)
		a.write(&User{Name: "boss"}, granted("a.daily", "user:boss", RoleAdministrator))
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		after := a.write(granted("a.daily", "token:a.reader", RoleReader))
		key := granted("a.daily").Key()
		for _, set := range []conf.ChangeSet{
			{Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}, Checks: []conf.Check{{Key: key, Revision: after.Revision}}},
			func() conf.ChangeSet {
				set := b.drafts(granted("a.daily", "user:boss", RoleAdministrator))
				set.Drafts[0].IfRevision = conf.Revision(after.Revision)
				return set
			}(),
		} {
			_, err := b.As("user:boss").Commit(t.Context(), &conf.CommitRequest{Set: set})
			require.ErrorIs(t, err, conf.ErrDenied)
			require.False(t, set.Settles(err))
		}
		set := conf.ChangeSet{Drafts: []conf.Draft{draftFor(t, "public/g/k", "v")}, Checks: []conf.Check{{Key: AllGrantsKey(), Revision: 99}}}
		_, err := b.As(root).Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.ErrorIs(t, err, conf.ErrConflict, "a condition that does not hold is the caller's")
	})
}

func AllGrantsKey() conf.Key { return (&Grants{Scope: AllScope()}).Key() }

// An open server whose storage is being set up elsewhere does not publish as if it were open.
func TestASetUpAtABindsAPublishAtB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		require.NoError(t, b.release("", "public/g/k", "v"))
		a.setUp(ModeClosed)
		isDenied(t, b.release("", "public/g/k", "w"), "public")
	})
}

// Guards are passed by force, with the right and a reason.
func TestForce(t *testing.T) {
	s := governed(t, team("a")...)
	s.write(&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Frozen: &Freeze{By: root, Reason: "night"}})
	set := conf.ChangeSet{Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}}
	commit := func(principal string, set conf.ChangeSet) error {
		_, err := s.As(principal).Commit(context.Background(), &conf.CommitRequest{Set: set})
		return err
	}
	err := commit(root, set)
	require.ErrorIs(t, err, conf.ErrDenied)
	assert.ErrorContains(t, err, "frozen by user:root: night")
	set.Force = true
	require.ErrorIs(t, commit(root, set), conf.ErrInvalid, "no reason")
	set.Comment = "fire"
	require.ErrorIs(t, commit("token:a.releaser", set), conf.ErrDenied, "no right to force")
	require.NoError(t, commit(root, set))
	assert.EqualValues(t, 2, s.Stats().Denied[conf.DenialFrozen])
}

// Who froze a namespace says the Centre, whatever the caller writes.
func TestFreeze_SaysWhoFroze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, append(team("a"), token("a.ops"), &Grants{
			Scope:  TenantScope("a"),
			Grants: []Grant{{Subject: "token:a.ops", Role: RoleAdministrator}},
		})...)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		namespace := func(f *Freeze) *Namespace {
			return &Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Owner: "a", Frozen: f}
		}
		by := func(want string) {
			t.Helper()
			resp, err := a.fetch(root, "_govern/namespace/a.daily")
			require.NoError(t, err)
			doc, err := ParseDocument(resp.Entry.Key, resp.Entry.Content)
			require.NoError(t, err)
			assert.Equal(t, want, doc.(*Namespace).Frozen.By)
		}
		require.NoError(t, a.edit("token:a.ops", namespace(&Freeze{By: root, Reason: "night"})))
		by("token:a.ops")
		assert.ErrorContains(t, a.release("token:a.releaser", "a.daily/g/k", "v"), "frozen by token:a.ops: night")

		// B has not seen the freeze, and yet does not name its own caller.
		require.NoError(t, b.edit(root, namespace(&Freeze{Reason: "night"})))
		time.Sleep(time.Second)
		by("token:a.ops")
		require.NoError(t, a.edit(root, namespace(&Freeze{By: "token:a.ops", Reason: "audit"})))
		by(root)
		require.NoError(t, a.edit(root, namespace(nil)))
		require.NoError(t, a.edit(root, namespace(&Freeze{Reason: "audit"})))
		by(root)
	})
}

func TestQuotas(t *testing.T) {
	s := governed(t, team("a")...)
	s.write(&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Quota: Quota{Keys: 2, Bytes: 10, Content: 8}})
	require.ErrorIs(t, s.release(root, "a.daily/g/1", "123456789"), conf.ErrDenied, "content")
	require.NoError(t, s.release(root, "a.daily/g/1", "1234"))
	require.NoError(t, s.release(root, "a.daily/g/2", "1234"))
	require.ErrorIs(t, s.release(root, "a.daily/g/3", "1"), conf.ErrDenied, "keys")
	require.ErrorIs(t, s.release(root, "a.daily/g/2", "1234567"), conf.ErrDenied, "bytes")
	require.NoError(t, s.release(root, "a.daily/g/2", "123456"), "exactly")
	require.NoError(t, s.release(root, "a.daily/g/2", "12"))
}

// Values and documents change in one set, or not at all, and documents only for those who may.
func TestDocumentsAndValuesInOneSet(t *testing.T) {
	s := governed(t, team("a")...)
	set := s.drafts(&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily", Description: "new"})
	set.Drafts = append(set.Drafts, draftFor(t, "a.daily/g/k", "v"))
	_, err := s.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.ErrorIs(t, err, conf.ErrDenied)
	_, err = s.fetch(root, "a.daily/g/k")
	require.NoError(t, err)
	at, err := s.As(root).Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	resp, err := s.fetch(root, "a.daily/g/k")
	require.NoError(t, err)
	assert.Equal(t, at.Position.Revision, resp.Entry.Revision)
	require.ErrorIs(t, s.edit(root, &StoreSecret{Positions: make([]byte, 32)}), conf.ErrDenied)
	require.ErrorIs(t, s.edit(root, &Grants{Scope: AllScope()}), conf.ErrInvalid, "the last administrator")
	bad := conf.ChangeSet{Drafts: []conf.Draft{{Key: KeyOf(KindTenant, "x"), Content: `{"format":1,"environments":1}`}}}
	_, err = s.As(root).Commit(t.Context(), &conf.CommitRequest{Set: bad})
	require.ErrorIs(t, err, conf.ErrInvalid)
	_, err = s.As("token:a.reader").Commit(t.Context(), &conf.CommitRequest{Set: bad})
	require.ErrorIs(t, err, conf.ErrDenied, "who may not is not told what is wrong")
	require.NotErrorIs(t, err, conf.ErrInvalid)
}

// What the caller has seen counts before anything is decided.
func TestCommit_WhatTheCallerHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		a.write(team("a")...)
		seen := a.write(granted("a.daily", "token:a.reader", RoleReleaser))
		set := conf.ChangeSet{Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}}
		_, err := b.As("token:a.reader").Commit(t.Context(), &conf.CommitRequest{Set: set, Seen: a.judge.sealer().seal(seen)})
		require.NoError(t, err)
		seen.Revision += 10
		_, err = b.As("token:a.reader").Commit(t.Context(), &conf.CommitRequest{Set: set, Seen: a.judge.sealer().seal(seen)})
		require.ErrorIs(t, err, conf.ErrBehind)
	})
}

// The origin of a change is kept in a governed store, and only there.
func TestOrigin(t *testing.T) {
	s := open(t, memstore.New())
	set := conf.ChangeSet{Drafts: []conf.Draft{draftFor(t, "public/g/k", "v")}, Origin: "cli"}
	_, err := s.Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	s.setUp(ModeClosed)
	_, err = s.As(root).Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	history, err := s.As(root).History(t.Context(), &conf.HistoryRequest{Key: keyOf(t, "public/g/k")})
	require.NoError(t, err)
	require.Len(t, history.Changes, 2)
	assert.Equal(t, "cli", history.Changes[0].Origin)
	assert.Empty(t, history.Changes[1].Origin)
}

// A document that another server has just made is not one that does not exist.
func TestCommit_WhatADocumentNamesMayBeNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		a.write(&Tenant{Name: "c", Environments: []string{"daily"}})
		start := time.Now()
		require.NoError(t, b.edit(root, &Namespace{ID: "c.daily", Tenant: "c", Environment: "daily"}))
		a.write(&Role{Name: "auditor", Verbs: []string{"list"}})
		require.NoError(t, b.edit(root, granted("c.daily", root, "auditor")))
		require.ErrorIs(t, b.edit(root, granted("c.daily", root, "none")), conf.ErrInvalid)
		assert.Less(t, time.Since(start), time.Second)
	})
}

// The deletion of a document that does not exist fails as any other.
func TestCommit_DeleteOfNoDocument(t *testing.T) {
	s := governed(t, team("a")...)
	at := s.Status().Position
	_, err := s.As(root).Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: KeyOf(KindGrants, "namespace:public")}}}})
	require.ErrorIs(t, err, conf.ErrNotFound)
	assert.Equal(t, at, s.Status().Position)
}

// A fork suspends tokens at once, at servers too that have not seen it.
func TestRestore_ASuspendedTokenAtAStalledB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, team("a")...)
		a.publish("a.daily/g/k", "v")
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		require.NoError(t, b.release("token:a.releaser", "a.daily/g/k", "w"))
		time.Sleep(time.Second)
		_, err := store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		require.ErrorIs(t, b.release("token:a.releaser", "a.daily/g/k", "too late"), conf.ErrDenied)
		time.Sleep(time.Second)
		resp, err := a.fetch(root, "a.daily/g/k")
		require.NoError(t, err)
		assert.Equal(t, "w", resp.Entry.Content)

		_, err = store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		require.NoError(t, b.release(root, "a.daily/g/k", "x"), "who is not suspended is not concerned")
	})
}

// A check tells whether a key has a revision, which only its readers may learn. One that may be
// listed may not be checked.
func TestCommit_ChecksNeedTheRightToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), &Role{Name: "lister", Verbs: []string{"list"}},
			granted("public", "token:a.reader", RoleReader, "token:a.releaser", "lister"))...)
		at := s.publish("public/g/k", "v")
		set := conf.ChangeSet{Drafts: []conf.Draft{draftFor(t, "a.daily/g/k", "v")}, Checks: []conf.Check{{Key: keyOf(t, "public/g/k"), Revision: at.Revision}}}
		_, err := s.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: set})
		isDenied(t, err, "public")
		s.write(granted("public", "token:a.releaser", RoleReader))
		_, err = s.As("token:a.releaser").Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.NoError(t, err)
	})
}

// R6 for documents: who lost the right to a document at A does not read it by a check, write it,
// or delete it at a stalled B.
func TestR6_ARevocationAtAAndADocumentAtAStalledB(t *testing.T) {
	environment := &Grants{Scope: EnvironmentScope("a", "daily"), Grants: []Grant{{Subject: "token:a.reader", Role: RoleReader}}}
	ops := &Team{Name: "a.ops", Members: []string{"token:a.reader"}}
	value := []conf.Draft{{Key: conf.Key{Namespace: "a.daily", Group: "g", DataID: "k"}, Content: "v"}}
	for name, ask := range map[string]func(b *stage, at int64) conf.ChangeSet{
		"check": func(_ *stage, at int64) conf.ChangeSet {
			return conf.ChangeSet{Drafts: value, Checks: []conf.Check{{Key: ops.Key(), Revision: at}}}
		},
		"draft": func(b *stage, _ int64) conf.ChangeSet { return b.drafts(&Team{Name: "a.ops"}) },
		"delete": func(*stage, int64) conf.ChangeSet {
			return conf.ChangeSet{Deletes: []conf.Delete{{Key: environment.Key()}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				on := func(subject string) *Grants {
					return &Grants{Scope: TenantScope("a"), Grants: []Grant{{Subject: subject, Role: RoleAdministrator}}}
				}
				store := memstore.New()
				a := open(t, store)
				a.setUp(ModeClosed, append(team("a"), environment, &User{Name: "ann"}, on("user:ann"))...)
				at := a.write(granted("a.daily", "user:ann", RoleReleaser), ops)
				b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
				require.NoError(t, b.release("user:ann", "a.daily/g/other", "w"))
				time.Sleep(time.Second)
				a.write(on(root))
				_, err := b.As("user:ann").Commit(t.Context(), &conf.CommitRequest{Set: ask(b, at.Revision)})
				require.ErrorIs(t, err, conf.ErrDenied)
				require.NoError(t, b.release("user:ann", "a.daily/g/k", "w"), "the right to values stays")
			})
		})
	}
}
