package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// registry is a server for the commands about rights, with whatever is in its documents.
type registry struct {
	*servertest.Documents
	t       *testing.T
	address string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{Documents: servertest.NewDocuments(t), t: t}
	mux := http.NewServeMux()
	mux.Handle("/", httptransport.NewHandler(r.Documents))
	mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"principal": "token:me", "mode": "closed"})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	r.address = srv.Listener.Addr().String()
	return r
}

func (r *registry) client(args ...string) outcome { return r.clientWith("", args...) }

func (r *registry) clientWith(stdin string, args ...string) outcome {
	r.t.Helper()
	return invokeWith(r.t, stdin, []string{"GDIAMOND_SERVER=" + r.address}, args...)
}

func (r *registry) must(args ...string) string {
	r.t.Helper()
	out := r.client(args...)
	require.Equal(r.t, exitOK, out.code, "%v: %s", args, out.stderr)
	assert.Empty(r.t, out.stderr)
	return out.stdout
}

// fails runs a command that must fail with a code and words.
func (r *registry) fails(code int, says string, args ...string) {
	r.t.Helper()
	out := r.client(args...)
	assert.Equal(r.t, code, out.code, "%v: %s", args, out.stderr)
	assert.Contains(r.t, out.stderr, says, "%v", args)
	assert.Empty(r.t, out.stdout, "%v", args)
}

// has checks a document, which must be as the package govern reads it.
func (r *registry) has(kind, name, content string) {
	r.t.Helper()
	key := govern.KeyOf(kind, name)
	got := r.Content(r.t, key)
	if content == "" {
		assert.Empty(r.t, got)
		return
	}
	assert.JSONEq(r.t, content, got)
	_, err := govern.ParseDocument(key, got)
	assert.NoError(r.t, err)
}

func TestRights_TenantsAndNamespaces(t *testing.T) {
	r := newRegistry(t)
	assert.Equal(t, "create tenant pay: revision 1\n", r.must("tenant", "create", "pay", "--owner", "ann"))
	r.has("tenant", "pay", `{"format":1,"environments":["daily","pre","production"],"owner":"ann"}`)
	r.fails(exitConflict, "there already", "tenant", "create", "pay")
	r.must("tenant", "set", "pay", "--environments", "daily,production", "--description", "payments")
	r.has("tenant", "pay", `{"format":1,"environments":["daily","production"],"owner":"ann","description":"payments"}`)
	r.must("tenant", "set", "pay", "--max-documents", "100", "--max-document-bytes", "100000")
	r.has("tenant", "pay", `{"format":1,"environments":["daily","production"],"owner":"ann","description":"payments","quota":{"documents":100,"bytes":100000}}`)
	r.must("tenant", "set", "pay", "--max-documents", "0", "--max-document-bytes", "0")
	r.has("tenant", "pay", `{"format":1,"environments":["daily","production"],"owner":"ann","description":"payments"}`)
	assert.Equal(t, "set tenant pay: nothing to change\n", r.must("tenant", "set", "pay", "--owner", "ann"))
	r.fails(exitNotFound, "no tenant", "tenant", "set", "other", "--owner", "ann")

	r.must("namespace", "create", "pay", "daily", "--max-keys", "100")
	r.has("namespace", "pay.daily", `{"format":1,"tenant":"pay","environment":"daily","quota":{"keys":100}}`)
	r.must("namespace", "set", "pay.daily", "--max-bytes", "1000", "--max-keys", "0")
	r.has("namespace", "pay.daily", `{"format":1,"tenant":"pay","environment":"daily","quota":{"bytes":1000}}`)
	r.must("namespace", "create", "pay", "production", "--id", "live")
	table := r.must("namespace", "ls")
	assert.Contains(t, table, "ID         TENANT  ENVIRONMENT  KEYS  BYTES  CONTENT  FROZEN  OWNER  STATE")
	assert.Contains(t, table, "pay.daily  pay     daily        -     1000   -        -       -      -")
	r.must("namespace", "rm", "live")
	r.fails(exitNotFound, "no namespace", "namespace", "set", "live", "--owner", "x")
	assert.NotContains(t, r.must("namespace", "ls"), "live")
	assert.Contains(t, r.must("namespace", "ls", "-a"), "deleted")
	r.fails(exitConflict, "was the namespace of pay production", "namespace", "create", "pay", "daily", "--id", "live")
	r.must("namespace", "create", "pay", "production", "--id", "live")
	r.has("namespace", "live", `{"format":1,"tenant":"pay","environment":"production"}`)

	r.fails(exitUsage, "comment: a freeze needs a reason", "namespace", "freeze", "none")
	r.must("namespace", "freeze", "live", "--comment", "x")
	r.has("namespace", "live", `{"format":1,"tenant":"pay","environment":"production","frozen":{"by":"","reason":"x"}}`) // the Centre writes who it was
	r.must("namespace", "unfreeze", "live")
	r.has("namespace", "live", `{"format":1,"tenant":"pay","environment":"production"}`)

	r.must("namespace", "rm", "live", "--force", "--comment", "not needed")
	commits := r.Commits()
	assert.True(t, commits[len(commits)-1].Force)
	assert.Equal(t, originCLI, commits[len(commits)-1].Origin)
	assert.False(t, commits[0].Force)

	r.must("tenant", "rm", "pay")
	r.has("tenant", "pay", `{"format":1,"environments":["daily","production"],"owner":"ann","description":"payments","deleted":true}`)
	r.must("tenant", "create", "pay", "--comment", "again")
	assert.Contains(t, r.Content(t, govern.KeyOf("tenant", "pay")), "pre")
	commits = r.Commits()
	assert.Equal(t, "again", commits[len(commits)-1].Comment)

	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.must("namespace", "show", "pay.daily", "-o", "json")), &fields))
	assert.Equal(t, map[string]any{"id": "pay.daily", "tenant": "pay", "environment": "daily", "quota": map[string]any{"bytes": 1000.0}, "revision": 6.0}, fields)
	assert.Contains(t, r.must("namespace", "show", "pay.daily"), `quota        {"bytes":1000}`)
	assert.Contains(t, r.must("namespace", "show", "pay.daily", "-o", "yaml"), "bytes: 1000\n")
	r.fails(exitNotFound, "not found", "namespace", "show", "none")
	assert.Equal(t, "[]\n", r.must("user", "ls", "-o", "json"))
}

func TestRights_UsersTeamsRoles(t *testing.T) {
	r := newRegistry(t)
	r.must("user", "create", "ann", "--description", "Ann")
	r.has("user", "ann", `{"format":1,"description":"Ann"}`)
	r.must("user", "retire", "ann")
	r.has("user", "ann", `{"format":1,"description":"Ann","retired":true}`)
	r.fails(exitConflict, "there already", "user", "create", "ann")
	assert.NotContains(t, r.must("user", "ls"), "ann")
	assert.Contains(t, r.must("user", "ls", "--all"), "retired")
	r.fails(exitNotFound, "no user", "user", "retire", "bob")

	r.must("team", "create", "pay.devs", "user:bob")
	r.must("team", "add", "pay.devs", "user:bob", "token:pay.ci", "user:cyd")
	r.has("team", "pay.devs", `{"format":1,"members":["user:bob","token:pay.ci","user:cyd"]}`)
	r.must("team", "remove", "pay.devs", "user:bob", "user:nobody")
	r.has("team", "pay.devs", `{"format":1,"members":["token:pay.ci","user:cyd"]}`)
	assert.Contains(t, r.must("team", "show", "pay.devs"), "token:pay.ci,user:cyd")
	r.must("team", "rm", "pay.devs")
	r.has("team", "pay.devs", `{"format":1,"retired":true}`)
	r.fails(exitConflict, "is retired", "team", "add", "pay.devs", "user:bob")
	r.fails(exitNotFound, "no team", "team", "add", "other", "user:bob")

	r.must("role", "create", "auditor", "list", "read")
	r.must("role", "set", "auditor", "read")
	r.must("role", "set", "auditor", "--description", "reads")
	r.has("role", "auditor", `{"format":1,"verbs":["read"],"description":"reads"}`)
	r.fails(exitConflict, "there already", "role", "create", "auditor", "list")
	assert.Equal(t, "remove role auditor: revision 10\n", r.must("role", "rm", "auditor"))
	r.has("role", "auditor", "")
	r.fails(exitNotFound, "not found", "role", "rm", "auditor")
}

func TestRights_Grants(t *testing.T) {
	r := newRegistry(t)
	r.must("grant", "add", "team:pay.devs", "writer", "tenant:pay")
	r.must("grant", "add", "user:ann", "administrator", "all")
	r.must("grant", "add", "anonymous", "reader", "namespace:public/web")
	r.has("grants", "namespace:public", `{"format":1,"grants":[{"subject":"anonymous","role":"reader","groupPrefix":"web"}]}`)
	r.must("grant", "add", "anonymous", "reader", "namespace:public", "--group-prefix", "web.")
	assert.Contains(t, r.must("grant", "add", "team:pay.devs", "writer", "tenant:pay"), "nothing to change")
	assert.Equal(t, `SCOPE             SUBJECT        ROLE           GROUP-PREFIX  STATE
all               user:ann       administrator  -             no such subject
namespace:public  anonymous      reader         web           -
namespace:public  anonymous      reader         web.          -
tenant:pay        team:pay.devs  writer         -             no such subject
`, r.must("grant", "ls"))
	assert.Equal(t, 2, strings.Count(r.must("grant", "ls", "--scope", "namespace:public"), "anonymous"))
	assert.NotContains(t, r.must("grant", "ls", "--subject", "user:ann"), "anonymous")
	r.must("grant", "rm", "anonymous", "reader", "namespace:public/web")
	r.has("grants", "namespace:public", `{"format":1,"grants":[{"subject":"anonymous","role":"reader","groupPrefix":"web."}]}`)
	r.fails(exitNotFound, "has no grant", "grant", "rm", "anonymous", "reader", "namespace:public")
}

// The secret of a token is written once, alone, and the servers get only its hash.
func TestRights_Tokens(t *testing.T) {
	r := newRegistry(t)
	form := regexp.MustCompile(`^gd_[A-Za-z0-9_-]{43}\n$`)
	hash := func(secret string) string {
		sum := sha256.Sum256([]byte(strings.TrimSuffix(secret, "\n")))
		return hex.EncodeToString(sum[:])
	}
	stored := func(name string) *govern.Token {
		key := govern.KeyOf("token", name)
		doc, err := govern.ParseDocument(key, r.Content(t, key))
		require.NoError(t, err)
		return doc.(*govern.Token)
	}
	first := r.must("token", "create", "pay.ci", "--expires", "30d", "--address", "10.0.0.0/8,fd00::/8", "--description", "builds")
	assert.Regexp(t, form, first)
	doc := stored("pay.ci")
	require.Len(t, doc.Secrets, 1)
	assert.Equal(t, hash(first), doc.Secrets[0].SHA256)
	assert.Equal(t, 30*24*time.Hour, doc.Secrets[0].Expires.Sub(doc.Secrets[0].Added))
	assert.WithinDuration(t, time.Now(), doc.Secrets[0].Added, time.Minute)
	assert.Equal(t, []string{"10.0.0.0/8", "fd00::/8"}, doc.Addresses)
	assert.NotContains(t, r.Content(t, doc.Key()), strings.TrimSpace(first))
	r.fails(exitConflict, "there already", "token", "create", "pay.ci")
	assert.Contains(t, r.must("token", "ls"), shortTime(doc.Secrets[0].Expires))

	file := filepath.Join(t.TempDir(), "secret")
	r.must("token", "rotate", "pay.ci", "--secret-file", file, "--expires", "never")
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	second, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Regexp(t, form, string(second))
	doc = stored("pay.ci")
	require.Len(t, doc.Secrets, 2)
	assert.Equal(t, hash(string(second)), doc.Secrets[1].SHA256)
	assert.True(t, doc.Secrets[1].Expires.IsZero())

	r.fails(exitError, "file exists", "token", "rotate", "pay.ci", "--secret-file", file)
	other := file + "-2"
	r.fails(exitConflict, "has 2 secrets already", "token", "rotate", "pay.ci", "--secret-file", other)
	assert.NoFileExists(t, other, "a secret that is not valid is not left behind")
	r.fails(exitUsage, "finish", "token", "rotate", "pay.ci", "--finish", "--secret-file", other)
	r.must("token", "rotate", "pay.ci", "--finish")
	doc = stored("pay.ci")
	require.Len(t, doc.Secrets, 1)
	assert.Equal(t, hash(string(second)), doc.Secrets[0].SHA256, "the newer one stays")

	r.must("token", "revoke", "pay.ci")
	assert.Empty(t, stored("pay.ci").Secrets)
	assert.True(t, stored("pay.ci").Retired)
	r.fails(exitConflict, "is retired", "token", "rotate", "pay.ci")
	r.fails(exitConflict, "is retired", "token", "create", "pay.ci")
	r.fails(exitNotFound, "no token", "token", "rotate", "pay.cd")

	var out secretOut
	require.NoError(t, json.Unmarshal([]byte(r.must("token", "create", "b", "-o", "json")), &out))
	assert.Equal(t, hash(out.Secret), stored("b").Secrets[0].SHA256)
	assert.Equal(t, 90*24*time.Hour, stored("b").Secrets[0].Expires.Sub(stored("b").Secrets[0].Added), "the default")

	assert.Regexp(t, form, invoke(t, "token", "secret").stdout)
}

func TestNewestSecret(t *testing.T) {
	at := time.Unix(1000, 0)
	a, b := govern.Secret{SHA256: "a", Added: at}, govern.Secret{SHA256: "b", Added: at.Add(time.Second)}
	assert.Equal(t, []govern.Secret{b}, newest([]govern.Secret{a, b}))
	assert.Equal(t, []govern.Secret{b}, newest([]govern.Secret{b, a}), "whatever their order")
	a.Added = b.Added
	assert.Equal(t, []govern.Secret{b}, newest([]govern.Secret{a, b}))
	assert.Empty(t, newest(nil))
}

func TestParseExpiry(t *testing.T) {
	for s, want := range map[string]time.Duration{"never": 0, "90d": 90 * 24 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "3650d": 3650 * 24 * time.Hour} {
		got, err := parseExpiry(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "0", "0d", "-1d", "-1h", "3651d", "99999999h", "1.5d", "d", "1w", "Never"} {
		_, err := parseExpiry(s)
		assert.ErrorIs(t, err, conf.ErrInvalid, s)
	}
}

func TestRights_Mode(t *testing.T) {
	r := newRegistry(t)
	r.fails(exitNotFound, "decide by no rights", "rights", "mode", "closed")
	marker := govern.KeyOf("centre", "marker")
	r.Write(t, marker, `{"format":1,"mode":"observe","created":"2026-01-01T00:00:00Z","next":1}`)
	assert.Equal(t, "observe\n", r.must("rights", "mode"))
	r.must("rights", "mode", "closed")
	assert.JSONEq(t, `{"format":1,"mode":"closed","created":"2026-01-01T00:00:00Z","next":1}`, r.Content(t, marker))
	r.must("rights", "confirm-credentials")
	position, err := r.Store.Fork(t.Context(), conf.Position{})
	require.NoError(t, err)
	r.Nudge(position)
	require.Eventually(t, func() bool { return r.Status().Position.Epoch == position.Epoch }, time.Minute, time.Millisecond)
	r.must("rights", "confirm-credentials")
	var c govern.Credentials
	require.NoError(t, json.Unmarshal([]byte(r.Content(t, c.Key())), &c))
	assert.Equal(t, position.Epoch.Generation, c.Generation)
}

// What the command line can know to be wrong is never sent.
func TestRights_Usage(t *testing.T) {
	r := newRegistry(t)
	cases := []struct{ args, says string }{
		{"tenant", "tenant needs a command"},
		{"tenant make", "unknown command"},
		{"tenant create", "a NAME"},
		{"tenant create Pay", "name of a tenant"},
		{"tenant create a.b", "name of a tenant"},
		{"tenant create pay --comment a\x01b", "comment"},
		{"tenant create pay --max-keys 1", "unknown flag"},
		{"tenant create pay --max-documents -1", "negative"},
		{"namespace create pay", "a TENANT and an ENVIRONMENT"},
		{"namespace create pay daily --id _govern", "system's"},
		{"namespace create pay daily --max-keys -1", "negative"},
		{"namespace set pay.daily --max-content -1", "negative"},
		{"user create a..b", "name of a user"},
		{"team create a b", "subject"},
		{"team add a team:b", "neither user:NAME nor token:NAME"},
		{"team add a", "MEMBERs"},
		{"role create a reed", "verb"},
		{"role create a", "VERBs"},
		{"grant add ann reader all", "subject"},
		{"grant add user:ann reader everything", "scope"},
		{"grant add user:ann Reader all", "role"},
		{"grant add user:ann reader tenant:pay --group-prefix x", "only a grant on a namespace"},
		{"grant add user:ann reader namespace:a/x --group-prefix x", "has one already"},
		{"grant ls --scope x", "scope"},
		{"grant ls --subject x", "subject"},
		{"token create a --expires soon", "expires"},
		{"token create a --expires 0d", "expires"},
		{"token create a --address 10.0.0.1", "addresses[0]"},
		{"token rotate a --finish --expires 5d", "finish"},
		{"rights mode open", "mode"},
		{"can reed all", "verb"},
		{"can read everything", "scope"},
		{"can read all --as ann", "as: "},
		{"apply", "-f"},
		{"apply -f x -o json", "--yes"},
		{"profile use", "a NAME"},
		{"login", "server: login needs"},
		{"login --server 127.0.0.1:1 --namesrv http://127.0.0.1:1", "--namesrv"},
		{"login --server 127.0.0.1:1 --profile a/b", "profile"},
		{"get x --profile none", `profile: there is no profile "none"`},
		{"logout", "there is no current one"},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.args, " ", "_"), func(t *testing.T) {
			t.Parallel()
			var env []string
			if !strings.HasPrefix(c.args, "login") && !strings.Contains(c.args, "--profile") {
				env = []string{"GDIAMOND_SERVER=" + r.address}
			}
			out := invokeWith(t, "", env, strings.Fields(c.args)...)
			assert.Equal(t, exitUsage, out.code, out.stderr)
			assert.Contains(t, out.stderr, c.says)
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), "one line: %q", out.stderr)
			assert.Empty(t, out.stdout)
		})
	}
	t.Cleanup(func() { assert.Empty(t, r.Commits()) })
}
