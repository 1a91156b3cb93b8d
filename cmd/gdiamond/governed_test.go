package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

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
	assert.Contains(t, frozen.stderr, "frozen")
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
		{"get", "a"}, {"publish", "a", "-"}, {"ls"}, {"history", "a"}, {"watch"}, {"tenant", "create", "pay"}, {"rights", "mode"},
	} {
		out := invokeWith(t, "x", []string{g.config}, append(args, "--server", g.address)...)
		assert.Equal(t, exitError, out.code, args)
		assert.Contains(t, out.stderr, "no token was sent", args)
		out = g.as(reader, args...)
		assert.NotContains(t, out.stderr, "no token was sent", args)
	}
}
