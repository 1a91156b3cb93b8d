package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// governed is a centre with rights, as a set-up makes it.
type governed struct {
	t       *testing.T
	address string
	setup   string // the secret of the setup token
	config  string // XDG_CONFIG_HOME=...
}

func newGoverned(t *testing.T) *governed {
	t.Helper()
	store := memstore.New()
	result, err := govern.SetUp(t.Context(), store, govern.SetUpOptions{})
	require.NoError(t, err)
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	centre, err := govern.New(srv)
	require.NoError(t, err)
	t.Cleanup(func() { _ = centre.Close() })
	door := httptest.NewServer(httptransport.NewHandler(centre))
	t.Cleanup(door.Close)
	env, _ := profilesFile(t, "")
	return &governed{t, door.Listener.Addr().String(), result.Token, env}
}

// as runs a command with a token, or as nobody.
func (g *governed) as(token string, args ...string) outcome {
	g.t.Helper()
	return g.with("x", token, args...)
}

func (g *governed) with(stdin, token string, args ...string) outcome {
	g.t.Helper()
	env := []string{"GDIAMOND_SERVER=" + g.address}
	if token != "" {
		env = append(env, "GDIAMOND_TOKEN="+token)
	}
	return invokeWith(g.t, stdin, env, args...)
}

func (g *governed) must(token string, args ...string) string {
	g.t.Helper()
	out := g.as(token, args...)
	require.Equal(g.t, exitOK, out.code, "%v: %s", args, out.stderr)
	return out.stdout
}

// A new operator's way from the setup token to a service that reads, as the documentation
// has it, against a centre that decides.
func TestGoverned_FromTheSetupToken(t *testing.T) {
	g := newGoverned(t)
	out := invokeWith(t, g.setup, []string{g.config}, "login", "--server", g.address)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "logged in as token:setup")
	out = invokeWith(t, "", []string{g.config}, "whoami")
	assert.Contains(t, out.stdout, "token:setup  closed", out.stderr)

	// A token of one's own instead of that of the set-up.
	ann := g.must(g.setup, "token", "create", "ann")
	g.must(g.setup, "grant", "add", "token:ann", "administrator", "all")
	g.must(ann, "token", "revoke", "setup")
	out = g.as(g.setup, "whoami")
	assert.Equal(t, exitError, out.code, "a revoked token is not valid")
	assert.NotContains(t, out.stderr, g.setup)

	// A tenant from files, in one change.
	dir := t.TempDir()
	writeTree(t, dir, payFiles)
	plan := g.as(ann, "apply", "-f", dir, "--dry-run")
	require.Equal(t, exitNo, plan.code, plan.stderr)
	assert.Contains(t, g.must(ann, "apply", "-f", dir, "-y"), "applied 8 documents")
	again := g.as(ann, "apply", "-f", dir, "--dry-run")
	assert.Contains(t, again.stdout, "8 same", again.stderr)

	// The service's token is in the files, and gets its secret.
	ci := g.must(ann, "token", "rotate", "pay.ci")
	assert.Equal(t, exitError, g.as(ci, "whoami").code, "the files allow it from 10.0.0.0/8 only")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "more/token.yaml"), []byte("kind: token\nname: pay.service\n"), 0o600))
	g.must(ann, "apply", "-f", dir, "-y")
	service := g.must(ann, "token", "rotate", "pay.service")
	assert.Contains(t, g.must(service, "whoami"), "token:pay.service")
	assert.Equal(t, exitNo, g.as(service, "can", "read", "namespace:pay.daily").code)
	denied := g.as(service, "publish", "limits", "-n", "pay.daily")
	assert.Equal(t, exitError, denied.code)
	assert.Contains(t, denied.stderr, "denied")
	g.must(ann, "team", "add", "pay.devs", "token:pay.service")
	assert.Equal(t, exitOK, g.as(service, "can", "release", "namespace:pay.daily").code)
	assert.Equal(t, exitOK, g.as(ann, "can", "read", "namespace:pay.daily", "--as", "token:pay.service").code)
	g.must(service, "publish", "limits", "-n", "pay.daily")
	assert.Equal(t, "x", g.must(service, "get", "limits", "-n", "pay.daily"))
	assert.Contains(t, g.must(service, "history", "limits", "-n", "pay.daily", "-o", "json"), `"origin": "cli"`)

	// Tenants do not see each other's documents, and no last administrator goes.
	assert.Equal(t, exitError, g.as(service, "tenant", "show", "other").code)
	last := g.as(ann, "grant", "rm", "token:ann", "administrator", "all")
	assert.Equal(t, exitError, last.code)
	assert.Contains(t, last.stderr, "administer")

	// A freeze stops publishes, except by force.
	g.must(ann, "namespace", "freeze", "pay.daily", "--comment", "incident")
	frozen := g.as(service, "publish", "limits", "-n", "pay.daily")
	assert.Equal(t, exitError, frozen.code)
	assert.Contains(t, frozen.stderr, "frozen by token:ann: incident")
	assert.Contains(t, g.must(ann, "namespace", "ls"), "by token:ann")
	assert.Equal(t, exitError, g.as(service, "publish", "limits", "-n", "pay.daily", "--force", "--comment", "x").code, "it has no such right")
	g.must(ann, "publish", "limits", "-n", "pay.daily", "--force", "--comment", "repair")
	g.must(ann, "namespace", "unfreeze", "pay.daily")

	// A rotation: both secrets, then the new one.
	fresh := g.must(ann, "token", "rotate", "pay.service")
	g.must(service, "get", "limits", "-n", "pay.daily")
	g.must(fresh, "get", "limits", "-n", "pay.daily")
	g.must(ann, "token", "rotate", "pay.service", "--finish")
	assert.Equal(t, exitError, g.as(service, "get", "limits", "-n", "pay.daily").code)
	g.must(fresh, "get", "limits", "-n", "pay.daily")

	// Limits, removal, and what is the centre's own.
	g.must(ann, "namespace", "set", "pay.daily", "--max-keys", "1")
	assert.Contains(t, g.as(fresh, "publish", "more", "-n", "pay.daily").stderr, "keys")
	assert.Contains(t, g.as(ann, "namespace", "rm", "pay.daily").stderr, "keys")
	g.must(ann, "rights", "mode", "observe")
	assert.Equal(t, "observe\n", g.must(ann, "rights", "mode"))
	g.must(ann, "rights", "mode", "closed")
	g.must(ann, "rights", "confirm-credentials")
	var users []map[string]any
	require.NoError(t, json.Unmarshal([]byte(g.must(ann, "user", "ls", "-o", "json")), &users))
	require.Len(t, users, 1)

	// Drift that is removed: in one change, whatever depends on what.
	for name := range payFiles {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "more/token.yaml"), []byte("{kind: token, name: ann}\n---\n{kind: role, name: none, verbs: [list]}\n---\n{kind: grants, scope: all, grants: [{subject: 'token:ann', role: administrator}]}\n---\n{kind: team, name: nobody}\n"), 0o600))
	pruned := g.as(ann, "apply", "-f", dir, "--prune", "-y")
	assert.Equal(t, exitOK, pruned.code, pruned.stderr)
	assert.Contains(t, pruned.stdout, "remove  role deployer")
	assert.Equal(t, exitError, g.as(fresh, "whoami").code, "its token is retired")
}

// An operator who names a server gets no token from the profile, and is told why.
func TestGoverned_ADenialSaysThatNoTokenWasSent(t *testing.T) {
	g := newGoverned(t)
	out := invokeWith(t, g.setup, []string{g.config}, "login", "--server", g.address)
	require.Equal(t, exitOK, out.code, out.stderr)
	reader := g.must(g.setup, "token", "create", "reader")
	for _, args := range [][]string{
		{"get", "a"}, {"publish", "a", "-"}, {"ls"}, {"history", "a"}, {"watch"}, {"tenant", "create", "pay"}, {"grant", "ls"}, {"history", "_govern/centre/marker"}, {"watch", "-n", "_govern"},
	} {
		out := invokeWith(t, "x", []string{g.config}, append(args, "--server", g.address)...)
		assert.Equal(t, exitError, out.code, args)
		assert.Contains(t, out.stderr, "no token was sent", args)
		out = g.as(reader, args...)
		assert.NotContains(t, out.stderr, "no token was sent", args)
	}
	out = invokeWith(t, "", []string{g.config, "GDIAMOND_SERVER=" + g.address}, "get", "a")
	assert.Contains(t, out.stderr, "or by GDIAMOND_SERVER or GDIAMOND_NAMESRV, uses no profile")
	out = invokeWith(t, "", []string{g.config, "GDIAMOND_SERVER=" + g.address}, "get", "a", "--profile", "default")
	assert.Equal(t, exitNotFound, out.code, out.stderr)
	_, file := profilesFile(t, "current: none\nprofiles:\n  none: {server: ["+g.address+"]}\n")
	out = invokeWith(t, "", []string{"XDG_CONFIG_HOME=" + filepath.Dir(filepath.Dir(file))}, "get", "a")
	assert.Contains(t, out.stderr, "no token was sent: `gdiamond login` keeps one")
}

// newOpen returns a centre whose store has no rights yet, and what makes it governed.
func newOpen(t *testing.T) (g *governed, setUp func() (token string)) {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	centre, err := govern.New(srv)
	require.NoError(t, err)
	t.Cleanup(func() { _ = centre.Close() })
	door := httptest.NewServer(httptransport.NewHandler(centre))
	t.Cleanup(door.Close)
	env, _ := profilesFile(t, "")
	g = &governed{t, door.Listener.Addr().String(), "", env}
	return g, func() string {
		result, err := govern.SetUp(t.Context(), store, govern.SetUpOptions{})
		require.NoError(t, err)
		centre.Nudge(diamond.Position{})
		return result.Token
	}
}

// Where there are no rights, the commands about them say so, whether or not a token is sent.
func TestOpen_CommandsSayThatThereAreNoRights(t *testing.T) {
	g, _ := newOpen(t)
	for _, token := range []string{"", govern.NewTokenSecret()} {
		out := g.as(token, "rights", "mode")
		assert.Equal(t, exitOK, out.code, out.stderr)
		assert.Equal(t, "open\n", out.stdout)
		assert.Contains(t, out.stderr, "decide by no rights")
		assert.JSONEq(t, `{"mode":"open"}`, g.as(token, "rights", "mode", "-o", "json").stdout)
		for _, args := range [][]string{
			{"rights", "mode", "closed"}, {"tenant", "create", "pay"}, {"token", "ls"}, {"grant", "ls"}, {"role", "show", "reader"},
			{"grant", "add", "user:ann", "reader", "all"}, {"history", "_govern/centre/marker"}, {"watch", "-n", "_govern"}, {"watch", "_govern/role/reader"},
		} {
			out := g.as(token, args...)
			assert.Equal(t, exitNotFound, out.code, "%v: %s", args, out.stderr)
			assert.Contains(t, out.stderr, "decide by no rights; one that is started with --rights", args)
		}
	}
}

// Who logs in at a server that has not seen the set-up yet need not try again.
func TestLogin_WaitsForTheSetUp(t *testing.T) {
	g, setUp := newOpen(t)
	out := invokeWith(t, govern.NewTokenSecret(), []string{g.config}, "login", "--server", g.address)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "decide by no rights")

	var asked atomic.Int32
	var token atomic.Value
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+g.address+r.URL.String(), nil)
		if !assert.NoError(t, err) {
			return
		}
		n := asked.Add(1)
		if n > 2 { // there was none before, so what the program sends stands for it
			ask.Header.Set("Authorization", "Bearer "+token.Load().(string))
		}
		answer, err := http.DefaultClient.Do(ask)
		if !assert.NoError(t, err) {
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
		if n == 2 {
			token.Store(setUp())
		}
	}))
	defer door.Close()
	out = invokeWith(t, "gd_whatever", []string{g.config}, "login", "--server", door.Listener.Addr().String())
	assert.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stdout, "logged in as token:setup")
	assert.GreaterOrEqual(t, asked.Load(), int32(3))
}

// In observe mode a token that is not valid is no token, and is not kept all the same.
func TestLogin_InObserveMode(t *testing.T) {
	g := newGoverned(t)
	g.must(g.setup, "rights", "mode", "observe")
	out := invokeWith(t, govern.NewTokenSecret(), []string{g.config}, "login", "--server", g.address)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "token: is not valid")
}

// Whoever may administer what a document is about sees its history, and others are told why not.
func TestGoverned_HistoryAndWatchOfDocuments(t *testing.T) {
	g := newGoverned(t)
	g.must(g.setup, "tenant", "create", "pay")
	g.must(g.setup, "tenant", "create", "other")
	lead := g.must(g.setup, "token", "create", "pay.lead")
	g.must(g.setup, "grant", "add", "token:pay.lead", "administrator", "tenant:pay", "--comment", "she leads it")
	g.must(g.setup, "grant", "rm", "token:pay.lead", "administrator", "tenant:pay")
	g.must(g.setup, "grant", "add", "token:pay.lead", "administrator", "tenant:pay")

	out := g.must(g.setup, "history", "_govern/grants/tenant:pay")
	assert.Equal(t, 4, strings.Count(out, "\n"), out)
	assert.Contains(t, out, "token:setup")
	assert.Contains(t, out, "she leads it")
	assert.Equal(t, out, g.must(lead, "history", "-n", "_govern", "grants/tenant:pay"))
	denied := g.as(lead, "history", "_govern/grants/tenant:other")
	assert.Equal(t, exitError, denied.code)
	assert.Contains(t, denied.stderr, "a document is shown to those who may administer what it is about")
	assert.Equal(t, exitNotFound, g.as(g.setup, "history", "_govern/grants/tenant:other").code)
	denied = g.as(lead, "watch", "_govern/grants/tenant:other")
	assert.Equal(t, exitError, denied.code, "a watch would be silent")
	assert.Contains(t, denied.stderr, "a document is shown")

	for _, c := range []struct {
		token string
		args  []string
		want  []string
		not   string
		note  bool
	}{
		{g.setup, []string{"-n", "_govern"}, []string{"_govern/tenant/other", "_govern/grants/tenant:pay", "by token:setup  she leads it"}, "", false},
		{g.setup, []string{"_govern/grants/tenant:pay"}, []string{"by token:setup  she leads it"}, "_govern/tenant/", false},
		{lead, []string{"-n", "_govern"}, []string{"_govern/tenant/pay", "she leads it"}, "other", true},
		{g.setup, []string{"-n", "*"}, nil, "_govern", false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
		cmd := command(ctx, []string{"GDIAMOND_SERVER=" + g.address, "GDIAMOND_TOKEN=" + c.token}, append([]string{"watch", "--from", "start"}, c.args...)...)
		var stdout, stderr lockedBuffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Start())
		if c.want == nil {
			g.must(g.setup, "tenant", "set", "pay", "--owner", "ann")
			g.must(g.setup, "publish", "public/g/last", "-")
			c.want = []string{"public/g/last"}
		}
		for _, want := range c.want {
			require.Eventually(t, func() bool { return strings.Contains(stdout.String(), want) }, time.Minute, 5*time.Millisecond, "%v: %s%s", c.args, &stdout, &stderr)
		}
		if c.not != "" {
			assert.NotContains(t, stdout.String(), c.not, c.args)
		}
		assert.Equal(t, c.note, strings.Contains(stderr.String(), "you do not administer everything"), stderr.String())
		cancel()
		_ = cmd.Wait()
	}

	// The other commands say which ones there are.
	for _, args := range [][]string{{"get", "_govern/grants/all"}, {"publish", "_govern/grants/all", "-"}, {"ls", "-n", "_govern"}} {
		out := g.as(g.setup, args...)
		assert.Equal(t, exitUsage, out.code, args)
		assert.Contains(t, out.stderr, "only history and watch", args)
	}
}

// A list says what is unusual: what it names is retired, suspended, or about to expire.
func TestGoverned_ListsSayWhatIsUnusual(t *testing.T) {
	g := newGoverned(t)
	must := func(args ...string) string { return g.must(g.setup, args...) }
	must("tenant", "create", "pay")
	must("namespace", "create", "pay", "daily")
	must("user", "create", "ann")
	must("token", "create", "pay.long")
	must("token", "create", "pay.short", "--expires", "6d")
	must("token", "create", "pay.over", "--expires", "1ms")
	must("token", "create", "pay.old")
	must("team", "create", "pay.devs", "user:ann", "token:pay.old", "token:pay.long")
	for _, subject := range []string{"user:ann", "token:pay.long", "token:pay.short", "token:pay.over", "token:pay.old", "team:pay.devs", "anonymous"} {
		must("grant", "add", subject, "reader", "namespace:pay.daily")
	}
	must("user", "retire", "ann")
	must("token", "revoke", "pay.old")
	must("grant", "add", "token:pay.typo", "reader", "namespace:pay.daily")
	lead := must("token", "create", "pay.lead")
	must("grant", "add", "token:pay.lead", "administrator", "tenant:pay")
	must("grant", "add", "user:bob", "reader", "namespace:pay.daily")
	must("user", "create", "bob")

	state := func(table, name string) string {
		t.Helper()
		for line := range strings.Lines(table) {
			if cells := regexp.MustCompile(`  +`).Split(strings.TrimSpace(line), -1); slices.Contains(cells, name) {
				return cells[len(cells)-1]
			}
		}
		return "not listed"
	}
	tokens := must("token", "ls", "--all")
	assert.Equal(t, "-", state(tokens, "pay.long"))
	assert.Equal(t, "expires soon", state(tokens, "pay.short"))
	assert.Equal(t, "expired", state(tokens, "pay.over"))
	assert.Equal(t, "retired", state(tokens, "pay.old"))
	assert.Equal(t, "not listed", state(must("token", "ls"), "pay.old"))
	assert.Equal(t, "members retired: 2", state(must("team", "ls"), "pay.devs"))
	grants := must("grant", "ls")
	for subject, want := range map[string]string{
		"user:ann": "subject retired", "token:pay.old": "subject retired", "token:pay.short": "subject expires soon",
		"token:pay.over": "subject expired", "token:pay.long": "-", "team:pay.devs": "-", "anonymous": "-",
		"token:pay.typo": "no such subject", "user:bob": "-",
	} {
		assert.Equal(t, want, state(grants, subject), subject)
	}
	assert.Equal(t, "-", state(g.must(lead, "grant", "ls"), "user:bob"), "whom she may not see")
	assert.Contains(t, must("grant", "ls", "-o", "json"), `"state": "subject retired"`)
	assert.Contains(t, must("token", "ls", "-o", "json"), `"state": "expires soon"`)
	must("namespace", "rm", "pay.daily")
	assert.Equal(t, "namespace deleted", state(must("grant", "ls"), "anonymous"))
}
