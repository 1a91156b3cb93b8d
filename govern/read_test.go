package govern

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// X6: what belongs to another tenant answers the same whether or not it exists, by every
// method, revision and position.
func TestX6_ExistingOrNotIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		at := s.publish("b.daily/g/exists", "v")
		who := s.As("token:a.reader")
		answers := func(key string) (all []string) {
			k := keyOf(t, key)
			add := func(what string, resp any, err error) {
				if err == nil {
					all = append(all, what+fmt.Sprintf("%+v", resp))
					return
				}
				all = append(all, what+strings.ReplaceAll(err.Error(), k.DataID, "KEY"))
			}
			for _, revision := range []int64{0, 1, at.Revision, at.Revision + 9} {
				resp, err := who.Fetch(t.Context(), &conf.FetchRequest{Key: k, Revision: revision})
				add("fetch", resp, err)
			}
			history, err := who.History(t.Context(), &conf.HistoryRequest{Key: k})
			add("history", history, err)
			_, err = who.Report(t.Context(), &conf.ReportRequest{Client: conf.ClientInfo{ID: "c"}, Reports: []conf.Report{{Key: k, Revision: at.Revision, Applied: true}}})
			add("report", nil, err)
			for _, revision := range []*int64{nil, conf.Revision(0), conf.Revision(at.Revision)} {
				_, err = who.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: "w", IfRevision: revision}}}})
				add("publish", nil, err)
			}
			_, err = who.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: k}}}})
			add("delete", nil, err)
			_, err = who.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{
				Drafts: []conf.Draft{draftFor(t, "a.daily/g/mine", "w")}, Checks: []conf.Check{{Key: k, Revision: at.Revision}},
			}})
			add("check", nil, err)
			poll := s.poll("token:a.reader", s.ask(conf.Position{}, 0, key))
			add("poll", []any{len(poll.Changed), len(poll.Denied), poll.Denied[0].Detail}, nil)
			return all
		}
		existing := answers("b.daily/g/exists")
		assert.Equal(t, existing, answers("b.daily/g/missing"))
		for _, a := range existing {
			assert.Contains(t, a, "not permitted")
		}
		for i, a := range answers("nowhere/g/missing") {
			assert.Equal(t, existing[i], strings.ReplaceAll(a, "nowhere", "b.daily"))
		}
		for _, tenant := range []string{"b", "nobody"} {
			for _, key := range []conf.Key{
				KeyOf(KindTenant, tenant), KeyOf(KindNamespace, tenant+".daily"), KeyOf(KindToken, tenant+".reader"),
				KeyOf(KindGrants, "namespace:"+tenant+".daily"), KeyOf(KindUser, tenant), KeyOf(KindRole, tenant),
			} {
				_, err := who.Fetch(t.Context(), &conf.FetchRequest{Key: key})
				require.ErrorIs(t, err, conf.ErrDenied, key)
				_, err = who.History(t.Context(), &conf.HistoryRequest{Key: key})
				require.ErrorIs(t, err, conf.ErrDenied, key)
			}
		}
	})
}

// A denied request looks nothing up.
func TestX6_ADeniedRequestLooksNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counted{Store: memstore.New()}
		s := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		s.setUp(ModeClosed, append(team("a"), team("b")...)...)
		s.publish("b.daily/g/k", strings.Repeat("x", 100))
		before := store.reads
		for range 10 {
			_, err := s.As("token:a.reader").Fetch(t.Context(), &conf.FetchRequest{Key: keyOf(t, "b.daily/g/k"), Revision: 1})
			require.ErrorIs(t, err, conf.ErrDenied)
			_, err = s.As("token:a.reader").History(t.Context(), &conf.HistoryRequest{Key: keyOf(t, "b.daily/g/k")})
			require.ErrorIs(t, err, conf.ErrDenied)
			future := s.Status().Position
			future.Revision += 100
			start := time.Now()
			_, err = s.As("token:a.reader").Fetch(t.Context(), &conf.FetchRequest{Key: keyOf(t, "b.daily/g/k"), After: future})
			require.ErrorIs(t, err, conf.ErrDenied)
			assert.Zero(t, time.Since(start))
		}
		assert.Equal(t, before, store.reads)
	})
}

// counted is a storage that counts reads of callers.
type counted struct {
	*memstore.Store
	reads int
}

func (c *counted) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	c.reads++
	return c.Store.Read(ctx, key, revision)
}

func (c *counted) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	c.reads++
	return c.Store.History(ctx, key, before, limit)
}

// A fetch that waits for a position, during which its right goes, gets nothing.
func TestFetch_ARightThatGoesWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, team("a")...)
		a.publish("a.daily/g/k", "v")
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		a.write(granted("a.daily", "token:a.releaser", RoleReleaser))
		after := a.publish("a.daily/g/k", "secret")
		resp, err := b.As("token:a.reader").Fetch(t.Context(), &conf.FetchRequest{Key: keyOf(t, "a.daily/g/k"), After: a.judge.sealer().seal(after)})
		isDenied(t, err, "a.daily")
		assert.Nil(t, resp)
	})
}

// X7: a listing shows what may be listed, in order, page by page, and never an empty page with
// more behind it.
func TestX7_ListShowsOnlyWhatMayBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		documents := []Document{&Role{Name: "lister", Verbs: []string{"list"}}}
		for _, tenant := range []string{"a", "b", "c", "d"} {
			documents = append(documents, team(tenant)...)
		}
		s := governed(t, documents...)
		var pairs []string
		for _, n := range []string{"a.daily", "b.daily", "c.daily", "d.daily", "unregistered"} {
			for _, g := range []string{"app", "pa", "pay", "pay-eu", "pb", "shop", "shop.x", "z"} {
				for i := range 3 {
					pairs = append(pairs, fmt.Sprintf("%s/%s/k%d", n, g, i), "content")
				}
			}
		}
		s.publishAll(pairs...)
		s.write(granted("a.daily", "token:a.reader", RoleReader, "token:c.reader", "lister"))
		partly := granted("b.daily", "token:c.reader", RoleReader, "token:c.reader", "lister")
		partly.Grants[0].GroupPrefix, partly.Grants[1].GroupPrefix = "shop", "pay"
		s.write(partly)

		expect := func(match func(n, g string) bool) (keys []string) {
			for i := 0; i < len(pairs); i += 2 {
				parts := strings.Split(pairs[i], "/")
				if match(parts[0], parts[1]) {
					keys = append(keys, pairs[i])
				}
			}
			return keys
		}
		own := func(n, g string) bool {
			return n == "a.daily" || n == "c.daily" || n == "b.daily" && (strings.HasPrefix(g, "shop") || strings.HasPrefix(g, "pay"))
		}
		for _, limit := range []int{1, 2, 3, 7, 100, 1000} {
			assert.Equal(t, expect(own), s.listed("token:c.reader", conf.ListRequest{Namespace: "*", Limit: limit}), limit)
			assert.Equal(t, expect(func(n, g string) bool { return own(n, g) && n == "b.daily" }), s.listed("token:c.reader", conf.ListRequest{Namespace: "b.daily", Limit: limit}))
			assert.Equal(t, expect(func(n, g string) bool { return own(n, g) && g == "shop" }), s.listed("token:c.reader", conf.ListRequest{Namespace: "*", Group: "shop", Limit: limit}))
			assert.Equal(t, expect(func(n, _ string) bool { return n != "unregistered" }), s.listed(root, conf.ListRequest{Namespace: "*", Limit: limit}), "what is not registered is nobody's")
			assert.Empty(t, s.listed("", conf.ListRequest{Namespace: "*", Limit: limit}))
		}
		_, err := s.As("token:c.reader").List(t.Context(), &conf.ListRequest{Namespace: "d.daily"})
		isDenied(t, err, "d.daily")
		_, err = s.As("token:c.reader").List(t.Context(), &conf.ListRequest{Namespace: "b.daily", Group: "app"})
		isDenied(t, err, "b.daily")
		_, err = s.As(root).List(t.Context(), &conf.ListRequest{Namespace: "unregistered"})
		isDenied(t, err, "unregistered")

		page, err := s.As("token:c.reader").List(t.Context(), &conf.ListRequest{Namespace: "*", Contents: true})
		require.NoError(t, err)
		assert.Equal(t, s.Status().Position, page.Position)
		for _, e := range page.Entries {
			if e.Key.Namespace == "a.daily" || e.Key.Namespace == "b.daily" && strings.HasPrefix(e.Key.Group, "pay") {
				assert.Empty(t, e.MD5, e.Key)
				assert.Empty(t, e.Content)
				assert.Zero(t, e.Size)
			} else {
				assert.Equal(t, "content", e.Content)
				assert.NotEmpty(t, e.MD5)
			}
		}
	})
}

// A page is as large as without rights, in bytes too.
func TestList_PagesAreBounded(t *testing.T) {
	s := governed(t, append(team("a"), team("b")...)...)
	s.write(granted("b.daily", "token:a.reader", RoleReader))
	large := strings.Repeat("x", 400<<10)
	for i := range 3 {
		s.publish(fmt.Sprintf("a.daily/g/%d", i), large)
		s.publish(fmt.Sprintf("b.daily/g/%d", i), large)
	}
	req := conf.ListRequest{Namespace: "*", Contents: true}
	pages, entries := 0, 0
	for more := true; more; pages++ {
		resp, err := s.As("token:a.reader").List(t.Context(), &req)
		require.NoError(t, err)
		require.LessOrEqual(t, len(resp.Entries), 2)
		require.NotEmpty(t, resp.Entries)
		entries += len(resp.Entries)
		req.After, more = resp.Entries[len(resp.Entries)-1].Key, resp.More
	}
	assert.Equal(t, 6, entries)
	assert.Equal(t, 3, pages)
}

// Documents are listed and watched by those who may read them, and the secret by nobody.
func TestDocumentsAreListedAndWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		all := s.listed(root, conf.ListRequest{Namespace: SystemNamespace, Limit: 3})
		assert.Contains(t, all, "_govern/grants/all")
		assert.NotContains(t, all, "_govern/centre/secret")
		mine := s.listed("token:a.reader", conf.ListRequest{Namespace: SystemNamespace, Limit: 1})
		assert.Equal(t, []string{"_govern/centre/marker", "_govern/namespace/a.daily", "_govern/tenant/a", "_govern/token/a.reader"}, mine)
		_, err := s.As("").List(t.Context(), &conf.ListRequest{Namespace: SystemNamespace})
		isDenied(t, err, SystemNamespace)
		_, err = s.As(root).List(t.Context(), &conf.ListRequest{Namespace: "_other"})
		isDenied(t, err, "_other")
		assert.Empty(t, s.listed(root, conf.ListRequest{Namespace: "*"}), "all namespaces are those of values")

		for _, principal := range []string{root, "token:a.reader"} {
			resp, err := s.As(principal).Changes(t.Context(), &conf.ChangesRequest{Namespace: SystemNamespace, Contents: true})
			require.NoError(t, err)
			require.NotEmpty(t, resp.Changes)
			for _, c := range resp.Changes {
				assert.NotEqual(t, "secret", c.Key.DataID)
				if principal != root {
					assert.NotContains(t, c.Key.String(), "b.")
				}
			}
		}
		_, err = s.As("").Changes(t.Context(), &conf.ChangesRequest{Namespace: SystemNamespace})
		isDenied(t, err, SystemNamespace)
	})
}

// A watch shows the changes that may be read, and neither the others nor how many there were.
func TestX7_ChangesShowOnlyWhatMayBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		start := s.Status().Position
		s.publishAll("a.daily/g/1", "one", "b.daily/g/1", "other", "a.daily/g/2", "two", "b.daily/g/2", "other")
		s.publish("b.daily/g/1", "other")
		end := s.publishAll("b.daily/g/3", "other", "a.daily/g/3", "three")
		for _, namespace := range []string{"*", "a.daily"} {
			resp, err := s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: namespace, After: start, Contents: true})
			require.NoError(t, err)
			var got []string
			for _, c := range resp.Changes {
				got = append(got, fmt.Sprintf("%s %s %d/%d", c.Key.DataID, c.Content, c.Number, c.Count))
			}
			assert.Equal(t, []string{"1 one 0/2", "2 two 1/2", "3 three 0/1"}, got)
			assert.Equal(t, end.Revision, resp.Position.Revision)
			assert.NotEqual(t, end.Chain, resp.Position.Chain)
			resp, err = s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: namespace, After: resp.Position})
			require.NoError(t, err)
			assert.Empty(t, resp.Changes)
		}
		resp, err := s.As(root).Changes(t.Context(), &conf.ChangesRequest{Namespace: "*", After: start})
		require.NoError(t, err)
		require.Len(t, resp.Changes, 7)
		assert.Equal(t, 4, resp.Changes[3].Count)
		_, err = s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: "b.daily"})
		isDenied(t, err, "b.daily")
		history, err := s.As("token:a.reader").History(t.Context(), &conf.HistoryRequest{Key: keyOf(t, "a.daily/g/2")})
		require.NoError(t, err)
		assert.Equal(t, 1, history.Changes[0].Count)
		assert.Zero(t, history.Changes[0].Number)
	})
}

// A watch goes on waiting within its time while others change what it may not read.
func TestChanges_WaitForWhatMayBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		at := s.Status().Position
		watch := func(wait time.Duration) (<-chan *conf.ChangesResponse, time.Time) {
			answer := make(chan *conf.ChangesResponse, 1)
			go func() {
				resp, err := s.As("token:a.reader").Changes(context.Background(), &conf.ChangesRequest{Namespace: "*", After: at, Wait: wait})
				assert.NoError(t, err)
				answer <- resp
			}()
			synctest.Wait()
			return answer, time.Now()
		}
		answer, begun := watch(time.Minute)
		for range 10 {
			s.publish("b.daily/g/k", time.Now().String())
			time.Sleep(time.Second)
		}
		s.publish("a.daily/g/k", "v")
		resp := <-answer
		require.Len(t, resp.Changes, 1)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		at = resp.Position

		answer, begun = watch(10 * time.Second)
		time.Sleep(time.Second)
		s.publish("b.daily/g/k", "v")
		resp = <-answer
		assert.Empty(t, resp.Changes)
		assert.Equal(t, 10*time.Second, time.Since(begun), "and not longer")
		assert.Equal(t, s.Status().Position, resp.Position, "the position moves on")

		// A right that comes while it waits ends the wait, and counts from then on.
		at = resp.Position
		answer, begun = watch(time.Minute)
		s.write(granted("b.daily", "token:a.reader", RoleReader))
		resp = <-answer
		assert.Zero(t, time.Since(begun))
		at = resp.Position
		answer, _ = watch(time.Minute)
		s.publish("b.daily/g/k", "w")
		assert.Len(t, (<-answer).Changes, 1)
	})
}

// A watch that waits ends when a secret of its token is withdrawn: the caller has to prove
// itself again, and who has that secret alone cannot.
func TestChanges_EndWithAWithdrawnSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		renewed := token("a.reader")
		renewed.Secrets = append(renewed.Secrets, Secret{SHA256: hexSum(secretOf("new"))})
		s.write(renewed)
		at := s.Status().Position
		answer := make(chan *conf.ChangesResponse, 1)
		go func() {
			resp, err := s.As("token:a.reader").Changes(context.Background(), &conf.ChangesRequest{Namespace: "a.daily", After: at, Wait: time.Minute})
			assert.NoError(t, err)
			answer <- resp
		}()
		synctest.Wait()
		renewed.Secrets = renewed.Secrets[1:]
		s.write(renewed)
		s.publish("a.daily/g/k", "secret")
		resp := <-answer
		assert.Empty(t, resp.Changes)
		assert.Less(t, resp.Position.Revision, s.Status().Position.Revision)
	})
}

// A watch through a long log that has nothing for its caller ends at its deadline, with the
// position up to which it has looked.
func TestChanges_EndInALongLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		at := s.Status().Position
		slow := &slowLog{System: s.door}
		s.door = slow
		begun := time.Now()
		resp, err := s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: "a.daily", After: at, Wait: 10 * time.Second})
		require.NoError(t, err)
		assert.Empty(t, resp.Changes)
		assert.True(t, resp.More)
		assert.Equal(t, 10*time.Second, time.Since(begun))
		assert.Equal(t, 10, slow.pages)
	})
}

// slowLog is a door whose log has no end, and a page a second.
type slowLog struct {
	engine.System
	pages int
}

func (l *slowLog) Changes(_ context.Context, req *conf.ChangesRequest, _ <-chan struct{}) (*conf.ChangesResponse, error) {
	l.pages++
	time.Sleep(time.Second) // fake time: the test runs in a bubble
	return &conf.ChangesResponse{Position: req.After, More: true}, nil
}

// Reports are counted for keys that may be read, whatever else is reported.
func TestReport(t *testing.T) {
	s := governed(t, append(team("a"), team("b")...)...)
	at := s.publishAll("a.daily/g/k", "v", "b.daily/g/k", "v")
	report := func(keys ...string) error {
		req := &conf.ReportRequest{Client: conf.ClientInfo{ID: "c"}}
		for _, k := range keys {
			req.Reports = append(req.Reports, conf.Report{Key: keyOf(t, k), Revision: at.Revision, Applied: true})
		}
		_, err := s.As("token:a.reader").Report(t.Context(), req)
		return err
	}
	isDenied(t, report("b.daily/g/k"), "b.daily")
	require.NoError(t, report("b.daily/g/k", "a.daily/g/k"))
	assert.Equal(t, 1, s.Status().Listeners.InSync)
}

// A document of a later format does not tell strangers that it exists.
func TestUnreadDocumentsAreNotNamedToStrangers(t *testing.T) {
	s := governed(t, append(team("a"), team("b")...)...)
	set := s.drafts(&Namespace{ID: "a.daily", Tenant: "a", Environment: "daily"}, &Role{Name: "special"})
	for i := range set.Drafts {
		set.Drafts[i].Content = strings.Replace(set.Drafts[i].Content, `"format": 1`, `"format": 9`, 1)
	}
	for i, name := range []string{"a.daily", "special"} {
		_, err := s.door.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: set.Drafts[i : i+1]}})
		require.NoError(t, err)
		for _, stranger := range []string{"", "token:b.reader"} {
			_, fetch := s.fetch(stranger, "a.daily/g/k")
			_, watch := s.As(stranger).Changes(t.Context(), &conf.ChangesRequest{Namespace: conf.AllNamespaces})
			for _, err := range []error{fetch, watch} {
				require.ErrorIs(t, err, conf.ErrUnavailable)
				var e *conf.Error
				require.ErrorAs(t, err, &e)
				assert.NotContains(t, e.Detail, name)
				assert.NotContains(t, e.Detail, "format")
				assert.NotEqual(t, SystemNamespace, e.Key.Namespace)
			}
		}
		_, err = s.fetch(root, "a.daily/g/k")
		require.ErrorContains(t, err, "format 9", "who may read it learns why")
	}
}

// A document that cannot be read takes its namespace from the lists of all namespaces, which
// say that they are not complete. Whoever names the namespace is told why. One that concerns
// all namespaces leaves nothing to list.
func TestList_WithoutTheNamespacesThatCannotBeDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(append(team("a"), team("b")...), token("other"))...)
		s.publishAll("a.daily/g/k", "v", "b.daily/g/k", "v", "public/g/k", "v")
		all := conf.ListRequest{Namespace: conf.AllNamespaces, Limit: 1}
		later := func(doc Document) {
			set := s.drafts(doc)
			set.Drafts[0].Content = strings.Replace(set.Drafts[0].Content, `"format": 1`, `"format": 9`, 1)
			_, err := s.door.Commit(t.Context(), &conf.CommitRequest{Set: set})
			require.NoError(t, err)
		}
		list := func(principal string) (keys []string, err error) {
			client, err := diamond.NewClient(s.As(principal))
			require.NoError(t, err)
			defer client.Close()
			for e, failed := range client.List(t.Context(), all) {
				if failed != nil {
					return keys, failed
				}
				keys = append(keys, e.Key.String())
			}
			return keys, nil
		}
		at := s.judge.sealer().seal(s.publish("b.daily/g/k", "w"))
		parked := make(chan error)
		go func() {
			_, err := s.As("token:b.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: conf.AllNamespaces, After: at, Wait: time.Minute})
			parked <- err
		}()
		synctest.Wait()
		later(token("other"))
		keys, err := list(root)
		require.NoError(t, err, "a token's document concerns only itself")
		assert.Len(t, keys, 3)

		later(granted("a.daily", "token:a.reader", RoleReader))
		s.publish("b.daily/g/k", "x")
		require.ErrorIs(t, <-parked, conf.ErrUnavailable, "a watch would never learn of what it was not shown")
		for principal, want := range map[string][]string{
			root: {"b.daily/g/k", "public/g/k"}, "token:b.reader": {"b.daily/g/k"}, "token:a.reader": nil, "": nil,
		} {
			keys, err := list(principal)
			assert.Equal(t, want, keys, principal)
			require.ErrorIs(t, err, conf.ErrUnavailable, principal)
			assert.ErrorContains(t, err, "not complete", principal)
			_, err = s.As(principal).List(t.Context(), &conf.ListRequest{Namespace: "a.daily"})
			require.ErrorIs(t, err, conf.ErrUnavailable, principal)
		}
		resp, err := s.As("token:b.reader").List(t.Context(), &conf.ListRequest{Namespace: "b.daily"})
		require.NoError(t, err)
		assert.False(t, resp.Partial)

		later(&Role{Name: RoleReader})
		_, err = s.As(root).List(t.Context(), &all)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.ErrorContains(t, err, "format 9")
	})
}

// Who may list everything, and read a part, is not told how many keys of a set it may not read.
func TestX7_WhoListsAllIsNotToldTheSizeOfSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), &Role{Name: "lister", Verbs: []string{"list"}})...)
		s.write(&Grants{Scope: AllScope(), Grants: []Grant{{Subject: root, Role: RoleAdministrator}, {Subject: "token:a.reader", Role: "lister"}}})
		s.publishAll("a.daily/g/k", "v", "public/g/k", "w")
		for principal, count := range map[string]int{"token:a.reader": 1, root: 2} {
			history, err := s.As(principal).History(t.Context(), &conf.HistoryRequest{Key: keyOf(t, "a.daily/g/k")})
			require.NoError(t, err)
			require.Len(t, history.Changes, 1)
			assert.Equal(t, count, history.Changes[0].Count, principal)
			changes, err := s.As(principal).Changes(t.Context(), &conf.ChangesRequest{Namespace: "a.daily"})
			require.NoError(t, err)
			require.Len(t, changes.Changes, 1)
			assert.Equal(t, count, changes.Changes[0].Count, principal)
		}
	})
}
