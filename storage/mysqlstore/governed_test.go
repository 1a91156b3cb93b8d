package mysqlstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// document reads a document past all rights, and its revision.
func document[D govern.Document](t *testing.T, s *Store, empty D) (doc D, revision int64) {
	t.Helper()
	e, err := s.Read(t.Context(), empty.Key(), 0)
	require.NoError(t, err, "%s", empty.Key())
	parsed, err := govern.ParseDocument(e.Key, e.Content)
	require.NoError(t, err)
	return parsed.(D), e.Revision
}

// A set-up straight on a database, by three processes at once, registers each namespace that
// has keys, as its bytes are, and mints one token. What it did is there for a store that is
// opened later, is not done again, and can be reset and confirmed after a fork.
func TestSetUp_OfADatabase(t *testing.T) {
	dsn := mariadbtest.Database(t, "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	first := open(t, dsn)
	ids := []string{"team", "Team", "team.daily", strings.Repeat("n", conf.MaxNamespace)}
	for i := range 1200 { // more than one commit
		ids = append(ids, fmt.Sprintf("ns-%04d", i))
	}
	for rest := ids; len(rest) > 0; rest = rest[min(len(rest), 600):] {
		var set conf.ChangeSet
		for _, id := range rest[:min(len(rest), 600)] {
			set.Drafts = append(set.Drafts, conf.Draft{Key: conf.Key{Namespace: id, DataID: "x"}.Canonical(), Content: "x"})
		}
		commit(t, first, set)
	}
	stores := []*Store{first, open(t, dsn), open(t, dsn)}
	results := make([]govern.SetUpResult, len(stores))
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() {
			var err error
			results[i], err = govern.SetUp(t.Context(), s, govern.SetUpOptions{By: fmt.Sprint("node-", i)})
			assert.NoError(t, err)
		})
	}
	all.Wait()
	minted := slices.IndexFunc(results, func(r govern.SetUpResult) bool { return r.Minted })
	require.GreaterOrEqual(t, minted, 0)
	for i, r := range results {
		assert.Equal(t, i == minted, r.Minted, "one of them")
		assert.Equal(t, i == minted, r.Token != "")
		assert.Equal(t, fmt.Sprint("node-", minted), r.Marker.By, "all name it")
	}
	later := open(t, dsn)
	token, _ := document(t, later, &govern.Token{Name: govern.SetupToken})
	assert.Equal(t, govern.HashTokenSecret(results[minted].Token), token.Secrets[0].SHA256)
	for _, id := range append(ids, "public") {
		document(t, later, &govern.Namespace{ID: id})
	}
	_, marked := document(t, later, &govern.Marker{})
	again, err := govern.SetUp(t.Context(), later, govern.SetUpOptions{Mode: govern.ModeObserve})
	require.NoError(t, err)
	assert.Equal(t, govern.SetUpResult{Marker: results[minted].Marker}, again)
	_, still := document(t, later, &govern.Marker{})
	assert.Equal(t, marked, still)

	// A server on it asks for rights. After a fork the token is suspended.
	c := centre(t, open(t, dsn))
	prove := func(secret string) error {
		_, err := c.Prove(t.Context(), conf.Proof{Token: secret})
		return err
	}
	require.NoError(t, prove(results[minted].Token))
	_, err = c.Fetch(t.Context(), &conf.FetchRequest{Key: conf.Key{Namespace: "team", DataID: "x"}.Canonical()})
	require.ErrorIs(t, err, conf.ErrDenied)
	_, err = later.Fork(t.Context(), conf.Position{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return errors.Is(prove(results[minted].Token), conf.ErrUnauthenticated) }, time.Minute, time.Millisecond)
	_, changed, err := govern.KeepCredentials(t.Context(), later, "a test")
	require.NoError(t, err)
	assert.True(t, changed)
	require.Eventually(t, func() bool { return prove(results[minted].Token) == nil }, time.Minute, time.Millisecond)
	reset, err := govern.ResetToken(t.Context(), later, govern.ResetOptions{})
	require.NoError(t, err)
	require.NoError(t, prove(reset.Token))
	require.ErrorIs(t, prove(results[minted].Token), conf.ErrUnauthenticated)
}

// centre returns a Centre on a governed store, which is ready.
func centre(t *testing.T, s *Store) *govern.Centre {
	t.Helper()
	srv, err := diamond.NewServer(s, diamond.WithFeedInterval(time.Millisecond))
	require.NoError(t, err)
	c, err := govern.New(srv)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return c.Status().Ready && c.Stats().Mode == conf.ModeClosed }, time.Minute, time.Millisecond)
	return c
}

// injections are texts that mean something to a database, to a pattern or to a parser.
var injections = []string{
	`'`, `"`, "`", `\`, `%`, `_`, `\'`, `''`, `\\'`, "%%", "a%", "a_", `a' OR '1'='1`, `a" OR "1"="1`, `' OR 1=1 -- `, `'; DROP TABLE diamond_change; -- `, `'; DELETE FROM diamond_entry; #`,
	`') UNION SELECT content FROM diamond_entry -- `, `/*`, `*/`, `/**/`, `--`, `#`, `;`, `?`, `??`, `:name`, `@@version`, `${x}`, `a' AND SLEEP(9) AND '1`, `1)--`, `NULL`, `0x41`, `ORDER BY 1`,
	"\x00", "a\x00b", "\x1a", "a\nb", "\xbf\x27", "\xbf\x5c\x27", "\xff", "á", "A", "a ", " a", "😀", "../../etc", "..%2F", "%27", "&#39;", strings.Repeat("'", 120), strings.Repeat("x", 70000),
}

// X13: texts that mean something to a database are refused by the grammar or stored byte for
// byte, in each place where a caller of a governed store may write one. They select nothing
// else, change nothing else, and show nothing of another tenant.
func TestX13_InjectionUnderRights(t *testing.T) {
	dsn := mariadbtest.Database(t, "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	s := open(t, dsn)
	_, err := govern.SetUp(t.Context(), s, govern.SetUpOptions{})
	require.NoError(t, err)
	write := func(documents ...govern.Document) {
		t.Helper()
		var set conf.ChangeSet
		for _, d := range documents {
			content, err := govern.Encode(d)
			require.NoError(t, err)
			set.Drafts = append(set.Drafts, conf.Draft{Key: d.Key(), Content: content})
		}
		commit(t, s, set)
	}
	for _, tenant := range []string{"a", "b"} {
		write(&govern.Tenant{Name: tenant, Environments: []string{"daily"}}, &govern.Namespace{ID: tenant + ".daily", Tenant: tenant, Environment: "daily"},
			&govern.Token{Name: tenant + ".admin", Generation: 1}, &govern.Grants{Scope: govern.TenantScope(tenant), Grants: []govern.Grant{{Subject: "token:" + tenant + ".admin", Role: govern.RoleAdministrator}}})
		commit(t, s, conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{Namespace: tenant + ".daily", Group: "g", DataID: "k"}, Content: "of " + tenant}}})
	}
	c := centre(t, s)
	db := mariadbtest.Connect(t, dsn)
	tables := func() (names []string) {
		rows, err := db.QueryContext(t.Context(), "SHOW TABLES")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			names = append(names, "")
			require.NoError(t, rows.Scan(&names[len(names)-1]))
		}
		require.NoError(t, rows.Err())
		return names
	}
	before := tables()
	history := whole(t, s)

	// ask calls f, which may be refused for a reason of the grammar or of rights. It returns
	// what was added to the log, which is otherwise as it was.
	ask := func(what, text string, f func() error) []conf.Change {
		t.Helper()
		what = fmt.Sprintf("%s: %.60q", what, text)
		begun := time.Now()
		err := f()
		require.Less(t, time.Since(begun), 8*time.Second, what)
		refused := errors.Is(err, conf.ErrInvalid) || errors.Is(err, conf.ErrDenied) || errors.Is(err, conf.ErrNotFound) || errors.Is(err, conf.ErrTooLarge) || errors.Is(err, conf.ErrConflict)
		require.True(t, err == nil || refused, "%s: %v", what, err)
		now := whole(t, s)
		require.GreaterOrEqual(t, len(now), len(history), what)
		require.Equal(t, history, now[:len(history)], what)
		added := now[len(history):]
		if err != nil {
			require.Empty(t, added, what)
		}
		history = now
		return added
	}
	admin := c.As("token:b.admin")
	set := func(set conf.ChangeSet) func() error {
		return func() error {
			_, err := admin.Commit(t.Context(), &conf.CommitRequest{Set: set})
			return err
		}
	}
	own := func(group, id string) conf.Key { return conf.Key{Namespace: "b.daily", Group: group, DataID: id} }
	base := conf.ChangeSet{Drafts: []conf.Draft{{Key: own("g", "base"), Content: "v"}}}
	stored := map[string]int{}
	for i, text := range injections {
		keys := map[string]conf.Key{"namespace": {Namespace: text, Group: "g", DataID: "k"}, "group": own(text, "k"), "data id": own("g", text), "document": {Namespace: "_govern", Group: "token", DataID: text}}
		for _, name := range slices.Sorted(maps.Keys(keys)) {
			key := keys[name]
			added := ask(name, text, set(conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: text, AllowEmpty: true}}}))
			if len(added) > 0 {
				stored[name]++
				require.Len(t, added, 1)
				require.Equal(t, key, added[0].Key)
				require.Equal(t, text, added[0].Content)
				got, err := admin.Fetch(t.Context(), &conf.FetchRequest{Key: key})
				require.NoError(t, err)
				require.Equal(t, text, got.Entry.Content, "%s %q", name, text)
				listed, err := admin.List(t.Context(), &conf.ListRequest{Namespace: key.Namespace, Group: key.Group, Prefix: key.DataID})
				require.NoError(t, err)
				for _, e := range listed.Entries {
					require.True(t, strings.HasPrefix(e.Key.DataID, key.DataID) && e.Key.Group == key.Group, "%q selects %s", text, e.Key)
				}
				past, err := admin.History(t.Context(), &conf.HistoryRequest{Key: key})
				require.NoError(t, err)
				require.Len(t, past.Changes, 1, "%s %q", name, text)
				require.Len(t, ask(name+" deleted", text, set(conf.ChangeSet{Deletes: []conf.Delete{{Key: key}}})), 1)
			}
			ask("check of "+name, text, set(conf.ChangeSet{Drafts: base.Drafts, Checks: []conf.Check{{Key: key, Revision: 0}}}))
			ask("read of "+name, text, func() error {
				_, errFetch := admin.Fetch(t.Context(), &conf.FetchRequest{Key: key})
				_, errHistory := admin.History(t.Context(), &conf.HistoryRequest{Key: key})
				return errors.Join(errFetch, errHistory)
			})
		}
		// What goes with a set.
		for name, with := range map[string]func(*conf.ChangeSet){
			"content": func(s *conf.ChangeSet) { s.Drafts[0].Content, s.Drafts[0].AllowEmpty = text, true }, "type": func(s *conf.ChangeSet) { s.Drafts[0].Type = text },
			"meta key": func(s *conf.ChangeSet) { s.Drafts[0].Meta = map[string]string{text: "v"} }, "meta": func(s *conf.ChangeSet) { s.Drafts[0].Meta = map[string]string{"m": text} },
			"reason": func(s *conf.ChangeSet) { s.Comment = text }, "request id": func(s *conf.ChangeSet) { s.RequestID = text }, "origin": func(s *conf.ChangeSet) { s.Origin = text },
		} {
			one := conf.ChangeSet{Drafts: []conf.Draft{{Key: own("g", fmt.Sprintf("set-%d", i)), Content: "v", Reset: true}}}
			with(&one)
			added := ask(name, text, set(one))
			if len(added) == 0 {
				continue
			}
			stored[name]++
			require.Len(t, added, 1)
			change := added[0]
			require.Equal(t, "token:b.admin", change.Author.Name)
			d := one.Drafts[0]
			require.Equal(t, d.Content, change.Content, "%s %q", name, text)
			require.Equal(t, one.Comment, change.Comment, "%s %q", name, text)
			require.Equal(t, one.Origin, change.Origin, "%s %q", name, text)
			require.Equal(t, len(d.Meta), len(change.Meta))
			for k, v := range d.Meta {
				require.Equal(t, v, change.Meta[k], "%s %q", name, text)
			}
			if name == "type" {
				require.Equal(t, text, change.Type)
			}
			if name == "request id" { // the same is one outcome; another by pattern or by case is another request
				require.Empty(t, ask("again", text, set(one)))
			}
		}
		// Who is the author, and documents.
		ask("author", text, func() error {
			_, err := c.As("token:"+text).Commit(t.Context(), &conf.CommitRequest{Set: base})
			return err
		})
		ask("address", text, func() error {
			ctx := conf.WithCaller(t.Context(), conf.Caller{Address: text})
			_, err := c.As("token:b.admin").Commit(ctx, &conf.CommitRequest{Set: base})
			return err
		})
		for name, d := range map[string]govern.Document{
			"description": &govern.Tenant{Name: "b", Environments: []string{"daily"}, Description: text}, "owner": &govern.Namespace{ID: "b.daily", Tenant: "b", Environment: "daily", Owner: text},
			"token": &govern.Token{Name: "b." + text}, "team": &govern.Team{Name: "b." + text}, "member": &govern.Team{Name: fmt.Sprintf("b.t%d", i), Members: []string{"user:" + text}},
			"group prefix": &govern.Grants{Scope: govern.NamespaceScope("b.daily"), Grants: []govern.Grant{{Subject: "token:b.admin", Role: govern.RoleReader, GroupPrefix: text}}},
			"subject":      &govern.Grants{Scope: govern.NamespaceScope("b.daily"), Grants: []govern.Grant{{Subject: "cert:dns:" + text, Role: govern.RoleReader}}},
		} {
			content, err := govern.Encode(d)
			if err != nil {
				continue
			}
			added := ask(name, text, set(conf.ChangeSet{Drafts: []conf.Draft{{Key: d.Key(), Content: content}}}))
			if len(added) > 0 {
				stored[name]++
				require.Len(t, added, 1)
				require.Equal(t, d.Key(), added[0].Key)
			}
		}
		// What selects.
		for name, list := range map[string]conf.ListRequest{
			"list namespace": {Namespace: text}, "list group": {Namespace: "b.daily", Group: text}, "list prefix": {Namespace: "b.daily", Prefix: text},
			"list after": {Namespace: "b.daily", After: own("g", text)}, "list all": {Namespace: conf.AllNamespaces, Prefix: text, After: conf.Key{Namespace: text, Group: text, DataID: text}},
		} {
			ask(name, text, func() error {
				resp, err := admin.List(t.Context(), &list)
				if err != nil {
					return err
				}
				for _, e := range resp.Entries {
					require.NotContains(t, e.Key.String(), "a.daily", "%s %q", name, text)
					require.True(t, strings.HasPrefix(e.Key.DataID, list.Prefix) && (list.Group == "" || list.Group == e.Key.Group), "%s %q selects %s", name, text, e.Key)
				}
				return nil
			})
		}
		for name, watch := range map[string]conf.ChangesRequest{
			"watch namespace": {Namespace: text}, "watch group": {Namespace: "b.daily", Group: text}, "watch prefix": {Namespace: conf.AllNamespaces, Prefix: text, Contents: true},
		} {
			ask(name, text, func() error {
				resp, err := admin.Changes(t.Context(), &watch)
				if err != nil {
					return err
				}
				for _, change := range resp.Changes {
					require.NotContains(t, change.Key.String(), "a.daily", "%s %q", name, text)
					require.True(t, strings.HasPrefix(change.Key.DataID, watch.Prefix) && (watch.Group == "" || watch.Group == change.Key.Group), "%s %q selects %s", name, text, change.Key)
				}
				return nil
			})
		}
		for _, as := range []string{"", "token:" + text} {
			_, err := c.Can(conf.WithCaller(context.Background(), conf.Caller{Principal: conf.Principal{Name: "token:b.admin"}}), conf.CanRequest{Verb: "read", Scope: "namespace:" + text, As: as})
			require.True(t, err == nil || errors.Is(err, conf.ErrInvalid) || errors.Is(err, conf.ErrDenied), "%q: %v", text, err)
		}
	}
	require.Equal(t, before, tables())
	a, err := s.Read(t.Context(), conf.Key{Namespace: "a.daily", Group: "g", DataID: "k"}, 0)
	require.NoError(t, err)
	require.Equal(t, "of a", a.Content)
	// It is no test if all is refused.
	for _, name := range []string{"group", "data id", "content", "reason", "meta", "description", "owner"} {
		assert.Positive(t, stored[name], name)
	}
	t.Logf("stored: %v", stored)
}
