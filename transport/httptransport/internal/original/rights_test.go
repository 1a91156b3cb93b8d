package original_test

import (
	"bytes"
	"encoding/base64"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// governed returns a Centre with the key k in the default group of public, a token "reader" and
// one "releaser" with their roles in public, and grants for others.
func governed(t *testing.T, grants ...govern.Grant) *protocoltest.Centre {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	centre, err := govern.New(srv)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, centre.Close())
		assert.NoError(t, store.Close())
	})
	documents := []govern.Document{
		&govern.Marker{Mode: govern.ModeClosed}, &govern.StoreSecret{Positions: bytes.Repeat([]byte{7}, 32)}, &govern.Namespace{ID: "public"},
		inPublic(grants...), &govern.Grants{Scope: govern.AllScope(), Grants: []govern.Grant{{Subject: "user:root", Role: govern.RoleAdministrator}}}, &govern.User{Name: "root"},
	}
	for _, name := range []string{"reader", "releaser"} {
		documents = append(documents, &govern.Token{Name: name, Generation: 1, Secrets: []govern.Secret{{SHA256: govern.HashTokenSecret(secretOf(name))}}})
	}
	for _, r := range govern.BuiltInRoles() {
		documents = append(documents, r)
	}
	set := draftsOf(t, documents...)
	set.Drafts = append(set.Drafts, conf.Draft{Key: protocoltest.Key("k"), Content: "x"})
	results, err := store.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	time.Sleep(time.Minute) // fake time: the server reads it
	return protocoltest.Of(t, centre)
}

func secretOf(name string) string {
	return govern.SecretPrefix + govern.HashTokenSecret("secret of " + name)[:43]
}

func draftsOf(t *testing.T, documents ...govern.Document) (set conf.ChangeSet) {
	t.Helper()
	for _, d := range documents {
		content, err := govern.Encode(d)
		require.NoError(t, err)
		set.Drafts = append(set.Drafts, conf.Draft{Key: d.Key(), Content: content})
	}
	return set
}

// inPublic returns the grants of public: those of the tokens, and others.
func inPublic(others ...govern.Grant) *govern.Grants {
	return &govern.Grants{Scope: govern.NamespaceScope("public"), Grants: append([]govern.Grant{
		{Subject: "token:reader", Role: govern.RoleReader}, {Subject: "token:releaser", Role: govern.RoleReleaser},
	}, others...)}
}

// asRoot commits a set as the administrator of everything.
func asRoot(t *testing.T, c *protocoltest.Centre, set conf.ChangeSet) {
	t.Helper()
	_, err := c.Srv.(*govern.Centre).As("user:root").Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
}

// Each route obeys the rights of whoever asks, and says no in plain text with a status that the
// original client takes for a failure.
func TestOriginalClient_Rights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		password := func(name string) []string {
			return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+secretOf(name)))}
		}
		bearer := func(name string) []string { return []string{"Authorization", "Bearer " + secretOf(name)} }
		reader := govern.Grant{Subject: govern.Anonymous, Role: govern.RoleReader}
		for name, who := range map[string]struct {
			headers             []string
			grants              []govern.Grant
			read, publish, poll int
		}{
			"anonymous":                 {nil, nil, 403, 403, 403},
			"anonymous who may read":    {nil, []govern.Grant{reader}, 200, 403, 200},
			"a token as the password":   {password("reader"), nil, 200, 403, 200},
			"a bearer":                  {bearer("reader"), nil, 200, 403, 200},
			"who may release":           {password("releaser"), nil, 200, 200, 200},
			"a bearer who may release":  {bearer("releaser"), nil, 200, 200, 200},
			"a wrong token":             {password("nobody"), []govern.Grant{reader}, 401, 401, 401},
			"a password that is none":   {[]string{"Authorization", "Basic cm9vdDpyb290"}, []govern.Grant{reader}, 401, 401, 401},
			"the anonymous in a prefix": {nil, []govern.Grant{{Subject: govern.Anonymous, Role: govern.RoleReader, GroupPrefix: "other"}}, 403, 403, 403},
		} {
			c := governed(t, who.grants...)
			isText := func(w *httptest.ResponseRecorder, status int) {
				t.Helper()
				assert.Equal(t, status, w.Code, "%s: %s", name, w.Body)
				if status >= 400 {
					assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"), name)
					assert.NotContains(t, w.Body.String(), "{", "%s: not the JSON of the other protocol", name)
					assert.NotEmpty(t, w.Body.String(), name)
					assert.Equal(t, status == 401, w.Header().Get("WWW-Authenticate") != "", name)
					assert.Empty(t, w.Header().Get("Content-MD5"), name)
				}
			}
			w := c.Ask("GET", "/diamond-server/config?dataId=k", "", who.headers...)
			isText(w, who.read)
			if who.read == 200 {
				assert.Equal(t, "x", w.Body.String(), name)
			}
			isText(poll(c, "k,DEFAULT_GROUP,;", who.headers...), who.poll)
			isText(c.Ask("POST", "/diamond-server/publishConfig?dataId=k&content=y", "", who.headers...), who.publish)
			for _, target := range []string{"/diamond-server/config?dataId=k&tenant=a", "/diamond-server/config?dataId=k&namespace=a.daily"} {
				w := c.Ask("GET", target, "", who.headers...)
				assert.Contains(t, []int{400, 401}, w.Code, "%s: it knows no other namespace", name)
			}
		}
	})
}

// A parked poll of somebody who loses the right ends at once without a word about any key, even
// of a change in the same set. The next one is refused. Nobody else is woken.
func TestOriginalClient_ARevocationEndsItsPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := governed(t, govern.Grant{Subject: govern.Anonymous, Role: govern.RoleReader})
		type answer struct {
			w    *httptest.ResponseRecorder
			took time.Duration
		}
		parked := func(headers ...string) chan answer {
			told := make(chan answer, 1)
			go func() {
				began := time.Now()
				w := poll(c, "k,DEFAULT_GROUP,"+conf.MD5Hex("x")+";", append(headers, "Long-Polling-TimeOut", "60000")...)
				told <- answer{w, time.Since(began)}
			}()
			synctest.Wait()
			return told
		}
		anonymous, reader := parked(), parked("Authorization", "Bearer "+secretOf("reader"))
		time.Sleep(time.Second)
		asRoot(t, c, draftsOf(t, inPublic())) // without the anonymous
		got := <-anonymous
		assert.Equal(t, time.Second, got.took)
		assert.Equal(t, 304, got.w.Code)
		assert.Empty(t, got.w.Body.String())
		synctest.Wait()
		assert.Empty(t, reader, "nobody else is woken")
		assert.Equal(t, 403, poll(c, "k,DEFAULT_GROUP,"+conf.MD5Hex("x")+";").Code)

		set := draftsOf(t, &govern.Grants{Scope: govern.NamespaceScope("public"), Grants: []govern.Grant{{Subject: "token:releaser", Role: govern.RoleReleaser}}})
		set.Drafts = append(set.Drafts, conf.Draft{Key: protocoltest.Key("k"), Content: "a secret"})
		set.Comment = "rotate"
		asRoot(t, c, set)
		got = <-reader
		assert.Equal(t, 304, got.w.Code, "the change came with the revocation")
		assert.Empty(t, got.w.Body.String())
		assert.Equal(t, 403, poll(c, "k,DEFAULT_GROUP,;", "Authorization", "Bearer "+secretOf("reader")).Code)
	})
}

// A client that watches keys that it may read and others is told of the former only, waits for
// them, and learns nothing of the others when they change.
func TestOriginalClient_SomeGroupsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := governed(t, govern.Grant{Subject: govern.Anonymous, Role: govern.RoleReader, GroupPrefix: "open"})
		began, told := time.Now(), make(chan string, 1)
		go func() { told <- poll(c, "k,DEFAULT_GROUP,;k,open.g,;", "Long-Polling-TimeOut", "60000").Body.String() }()
		synctest.Wait()
		asRoot(t, c, conf.ChangeSet{Drafts: []conf.Draft{{Key: protocoltest.Key("k"), Content: "y"}}})
		synctest.Wait()
		assert.Empty(t, told)
		time.Sleep(time.Second)
		asRoot(t, c, conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("open.g", "k"), Content: "y"}}})
		assert.Equal(t, "k%2Copen.g%3B", <-told)
		assert.Equal(t, time.Second, time.Since(began))
	})
}
