package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

var printedToken = regexp.MustCompile(`setup token  (gd_\S+)\n +in (\S+), valid until `)

// token returns the setup token that a server has printed, or "".
func (d *daemon) token() string {
	if m := printedToken.FindStringSubmatch(d.stdout.String()); m != nil {
		return m[1]
	}
	return ""
}

// ask sends a request with a token, or without one, and returns status and body.
func ask(t *testing.T, method, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// value is a path of a key that nobody has published: 404 for who may read, 403 for others.
const value = "/v1/configs/public/g/absent"

// asksForRights checks that a server denies the anonymous and forged tokens, and that a token has
// all rights there.
func asksForRights(t *testing.T, d *daemon, token string) {
	t.Helper()
	status, _ := ask(t, http.MethodGet, d.server+value, "")
	assert.Equal(t, http.StatusForbidden, status)
	status, _ = ask(t, http.MethodGet, d.server+value, govern.NewTokenSecret())
	assert.Equal(t, http.StatusUnauthorized, status)
	status, body := ask(t, http.MethodGet, d.server+value, token)
	assert.Equal(t, http.StatusNotFound, status, body)
}

func TestX4_FirstStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	d := standalone(t, data, "--rights")
	token := d.token()
	require.NoError(t, govern.CheckTokenSecret(token), d.stdout)
	path := filepath.Join(data, "setup-token")
	assert.Contains(t, d.stdout.String(), "in "+path+", valid until ")
	assert.Contains(t, d.stdout.String(), "rights       closed: ")
	assert.Contains(t, d.stdout.String(), "gdiamond login --server "+strings.TrimPrefix(d.server, "http://")+" "+path+"\n")
	assert.NotContains(t, d.stderr.String(), token, "it is in no log")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, token+"\n", string(content))
	asksForRights(t, d, token)

	// Plain pages tell a status only; the others ask.
	for page, want := range map[string]int{"/livez": 200, "/healthz": 200, "/readyz": 200, "/metrics": 403} {
		status, _ := ask(t, http.MethodGet, d.server+page, "")
		assert.Equal(t, want, status, page)
	}
	_, body := ask(t, http.MethodGet, d.server+"/readyz?verbose", "")
	assert.Equal(t, "ready\n", body)
	_, body = ask(t, http.MethodGet, d.server+"/readyz?verbose", token)
	assert.Contains(t, body, "[+] rights: closed\n")
	status, _ := ask(t, http.MethodGet, d.server+"/metrics", token)
	assert.Equal(t, http.StatusOK, status)
	d.terminate()

	// Later starts need no flag, print no token, and listen where others can reach them.
	for _, args := range [][]string{{"--listen", "0.0.0.0:0"}, {"--rights=observe"}, nil} {
		d = start(t, append([]string{"server", "--listen", "127.0.0.1:0", "--data", data}, args...)...)
		d.server = strings.Replace(d.server, "[::]", "127.0.0.1", 1)
		assert.Empty(t, d.token())
		assert.Contains(t, d.stdout.String(), "rights closed: ", args)
		asksForRights(t, d, token)
		d.terminate()
	}
	assert.NoFileExists(t, path+"-2")
	out := invoke(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--insecure")
	assert.Equal(t, exitUsage, out.code)
	assert.Contains(t, out.stderr, "insecure: the store is governed")
	out = invoke(t, "server", "--listen", "0.0.0.0:0", "--data", data, "--ungoverned")
	assert.Equal(t, exitUsage, out.code, "not where other hosts can reach it")

	d = start(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--ungoverned")
	assert.Contains(t, d.stdout.String(), "rights NONE: --ungoverned ignores the rights")
	assert.Contains(t, d.stderr.String(), "NONE: --ungoverned")
	status, _ = ask(t, http.MethodGet, d.server+value, "")
	assert.Equal(t, http.StatusNotFound, status)
	status, _ = ask(t, http.MethodGet, d.server+"/v1/configs/_govern/centre/secret", "")
	assert.Equal(t, http.StatusForbidden, status, "documents stay closed")
	_, body = ask(t, http.MethodGet, d.server+"/readyz?verbose", "")
	assert.Contains(t, body, "[-] rights: NONE")
	d.terminate()
}

// A file of an earlier token stays what it is.
func TestX4_TheTokensFileIsNeverReplaced(t *testing.T) {
	data := t.TempDir()
	path := filepath.Join(data, "setup-token")
	require.NoError(t, os.WriteFile(path, []byte("mine\n"), 0o644))
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--rights=observe")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "mine\n", string(content))
	content, err = os.ReadFile(path + "-2")
	require.NoError(t, err)
	assert.Equal(t, d.token()+"\n", string(content))
	assert.Contains(t, d.stdout.String(), "rights observe: ")
	status, _ := ask(t, http.MethodGet, d.server+value, "")
	assert.Equal(t, http.StatusNotFound, status, "nothing is refused")
}

func TestX4_BootstrapToken(t *testing.T) {
	dir := t.TempDir()
	secret := govern.NewTokenSecret()
	file := func(content string, mode os.FileMode) string {
		name := filepath.Join(dir, "token")
		_ = os.Remove(name)
		require.NoError(t, os.WriteFile(name, []byte(content), mode))
		return name
	}
	for says, name := range map[string]func() string{
		"everybody knows it": func() string { return file("VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=", 0o600) },
		"is empty":           func() string { return file("\n", 0o600) },
		"is not random":      func() string { return file("gd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0o600) },
		"chmod 600":          func() string { return file(secret, 0o644) },
		"no such file":       func() string { return filepath.Join(dir, "none") },
	} {
		data := filepath.Join(t.TempDir(), "data")
		out := invoke(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--rights", "--bootstrap-token-file", name())
		assert.NotEqual(t, exitOK, out.code)
		assert.Contains(t, out.stderr, says)
		assert.NotContains(t, out.stderr, secret)
		assert.NoFileExists(t, filepath.Join(data, "setup-token"))
	}
	out := invoke(t, "server", "--bootstrap-token-file", "x")
	assert.Equal(t, exitUsage, out.code)
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--rights", "--bootstrap-token-file", file(secret+"\n", 0o640))
	assert.NotContains(t, d.stdout.String(), secret)
	assert.NoFileExists(t, filepath.Join(dir, "data", "setup-token"))
	asksForRights(t, d, secret)
}

func TestGoverning_FlagsThatExcludeEachOther(t *testing.T) {
	for _, args := range []string{
		"--rights --insecure", "--rights --ungoverned", "--ungoverned --keep-credentials", "--ungoverned --deny-file x",
		"--rights=open", "--metrics-listen nowhere", "--ungoverned",
	} {
		out := invoke(t, append([]string{"server", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, strings.Fields(args)...)...)
		assert.Equal(t, exitUsage, out.code, "%s: %s", args, out.stderr)
	}
}

// Three servers' first start at once: one mints the token, and the others say which one it is.
func TestX4_ThreeServersFirstStartAtOnce(t *testing.T) {
	dsn := mariadbtest.Database(t)
	secret := secretFile(t)
	names := start(t, "namesrv", "--listen", "127.0.0.1:0", "--cluster-secret-file", secret)
	nodes := make([]*daemon, 3)
	dirs := make([]string, 3)
	var all sync.WaitGroup
	for i := range nodes {
		dirs[i] = t.TempDir()
		all.Go(func() {
			nodes[i] = startUnready(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--migrate", "--data", dirs[i],
				"--rights", "--namesrv", names.namesrv, "--cluster-secret-file", secret)
		})
	}
	all.Wait()
	token, minted := "", -1
	for i, d := range nodes {
		if tok := d.token(); tok != "" {
			assert.Empty(t, token, "one token")
			token, minted = tok, i
		}
	}
	require.NotEmpty(t, token)
	by := regexp.MustCompile(`rights closed: .*; set up by (.*)\n`)
	who := by.FindStringSubmatch(nodes[minted].stdout.String())
	require.NotNil(t, who)
	assert.Contains(t, who[1], strings.TrimPrefix(nodes[minted].server, "http://"))
	for i, d := range nodes {
		require.Eventually(t, func() bool { status, _ := ask(t, http.MethodGet, d.server+"/readyz", ""); return status == 200 }, time.Minute, 10*time.Millisecond)
		asksForRights(t, d, token)
		assert.Contains(t, d.stdout.String(), who[0], "all name the one that has it")
		if i == minted {
			assert.FileExists(t, filepath.Join(dirs[i], "setup-token"))
		} else {
			assert.NoFileExists(t, filepath.Join(dirs[i], "setup-token"), "worth nothing")
			assert.Contains(t, d.stderr.String(), "the store was made governed before")
		}
	}
	// Nudges go on between servers that ask their clients for rights.
	require.Eventually(t, func() bool {
		_, body := ask(t, http.MethodGet, nodes[0].server+"/readyz?verbose", token)
		return strings.Contains(body, "[+] peers: 2 of 2 take nudges")
	}, time.Minute, 50*time.Millisecond)

	// An ungoverned server says what it is, and one of a later start needs no flag.
	later := start(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", t.TempDir())
	asksForRights(t, later, token)
	out := invoke(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", t.TempDir(), "--insecure")
	assert.Contains(t, out.stderr, "insecure: the store is governed")
	open := start(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", t.TempDir(), "--ungoverned")
	assert.Contains(t, open.stdout.String(), "rights NONE")

	// A new setup token by the database alone.
	out = invoke(t, "rights", "reset-token", "--mysql", dsn)
	require.Equal(t, exitOK, out.code, out.stderr)
	asksForRights(t, later, strings.TrimSpace(out.stdout))
	status, _ := ask(t, http.MethodGet, later.server+value, token)
	assert.Equal(t, http.StatusUnauthorized, status, "the old one has ended")
}

// X5: with --rights a server whose storage does not answer serves nothing before the store is
// governed, and sets it up when the storage answers.
func TestX5_TheStorageIsAwayAtTheFirstStart(t *testing.T) {
	db := mariadbtest.Start(t, mariadbtest.Options{})
	dsn := db.Database(t)
	require.Equal(t, exitOK, invoke(t, "migrate", "--mysql", dsn).code)
	db.Kill()
	d := startUnready(t, "server", "--listen", "127.0.0.1:0", "--mysql", dsn, "--data", t.TempDir(), "--rights")
	status, _ := ask(t, http.MethodGet, d.server+value, "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, d.stdout.String(), "rights waiting for the storage")
	require.NoError(t, db.Start())
	require.Eventually(t, func() bool { return d.token() != "" }, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool { status, _ := ask(t, http.MethodGet, d.server+value, d.token()); return status == 404 }, time.Minute, 10*time.Millisecond)
	asksForRights(t, d, d.token())
}

// A backup, a revocation, a restore: the revoked token does not come back by itself.
func TestRestoreAndRevokedTokens(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--rights")
	old := d.token()
	backup := filepath.Join(dir, "backup")
	require.Equal(t, exitOK, invoke(t, "backup", data, backup).code)
	d.terminate()
	out := invoke(t, "rights", "reset-token", "--data", data) // revokes the old secret
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stderr, "token:setup administers everything until ")

	restored := filepath.Join(dir, "restored")
	require.Equal(t, exitOK, invoke(t, "restore", backup, restored).code)
	run := func(args ...string) *daemon {
		return start(t, append([]string{"server", "--listen", "127.0.0.1:0", "--data", restored}, args...)...)
	}
	d = run()
	status, body := ask(t, http.MethodGet, d.server+value, old)
	assert.Equal(t, http.StatusUnauthorized, status, body)
	assert.Contains(t, d.stderr.String(), "--keep-credentials", "the log says what to do")
	out = invoke(t, "rights", "reset-token", "--data", restored)
	assert.NotEqual(t, exitOK, out.code, "a server runs on it")
	assert.Contains(t, out.stderr, "stop it first")
	d.terminate()

	d = run("--keep-credentials")
	require.Eventually(t, func() bool {
		status, _ := ask(t, http.MethodGet, d.server+value, old)
		return status == http.StatusNotFound
	},
		time.Minute, 5*time.Millisecond, "confirmed")
	d.terminate()
	out = invoke(t, "rights", "reset-token", "--data", restored)
	require.Equal(t, exitOK, out.code, out.stderr)
	d = run()
	asksForRights(t, d, strings.TrimSpace(out.stdout))
	status, _ = ask(t, http.MethodGet, d.server+value, old)
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestResetToken_Refuses(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	out := invoke(t, "rights", "reset-token", "--data", none)
	assert.Equal(t, exitError, out.code)
	assert.NoDirExists(t, none)
	data := t.TempDir()
	start(t, "server", "--listen", "127.0.0.1:0", "--data", data).terminate()
	out = invoke(t, "rights", "reset-token", "--data", data)
	assert.Contains(t, out.stderr, "the store is not governed")
	assert.Empty(t, out.stdout)
}

func TestDenyFile_OfAServer(t *testing.T) {
	data, deny := t.TempDir(), filepath.Join(t.TempDir(), "deny")
	args := []string{"server", "--listen", "127.0.0.1:0", "--data", data, "--rights", "--deny-file", deny}
	out := invoke(t, args...)
	assert.Equal(t, exitError, out.code, "a file that cannot be read at start is an error")
	assert.Contains(t, out.stderr, "deny-file")
	require.NoError(t, os.WriteFile(deny, []byte("# nobody\n"), 0o600))
	d := start(t, args...)
	token := d.token()
	asksForRights(t, d, token)
	require.NoError(t, os.WriteFile(deny, []byte("token:setup\n"), 0o600))
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { status, _ := ask(t, http.MethodGet, d.server+value, token); return status == 403 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, os.WriteFile(deny, []byte("token setup\n"), 0o600))
	require.Eventually(t, func() bool { return strings.Contains(d.stderr.String(), "the last list stays in force") }, time.Minute, 5*time.Millisecond)
	status, _ := ask(t, http.MethodGet, d.server+value, token)
	assert.Equal(t, http.StatusForbidden, status)
	require.NoError(t, os.WriteFile(deny, nil, 0o600))
	require.Eventually(t, func() bool { status, _ := ask(t, http.MethodGet, d.server+value, token); return status == 404 }, time.Minute, 5*time.Millisecond)
}

// A store of before gets all of its namespaces registered, also one of 128 bytes.
func TestSetUp_OfAStoreOfBefore(t *testing.T) {
	data, long := t.TempDir(), strings.Repeat("n", 128)
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", data)
	for _, ns := range []string{"public", "team", long} {
		out := d.clientWith("x", "publish", "a", "--namespace", ns)
		require.Equal(t, exitOK, out.code, out.stderr)
	}
	d.terminate()
	d = start(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--rights")
	for _, ns := range []string{"public", "team", long} {
		url := d.server + "/v1/configs/" + ns + "/DEFAULT_GROUP/a"
		status, body := ask(t, http.MethodGet, url, d.token())
		assert.Equal(t, http.StatusOK, status, body)
		status, _ = ask(t, http.MethodGet, url, "")
		assert.Equal(t, http.StatusForbidden, status)
	}
}

func TestMetricsListen_AsksNobody(t *testing.T) {
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--rights", "--metrics-listen", "127.0.0.1:0")
	m := regexp.MustCompile(`(?m)^metrics (http://\S+)$`).FindStringSubmatch(d.stdout.String())
	require.NotNil(t, m, d.stdout)
	status, body := ask(t, http.MethodGet, m[1]+"/metrics", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "diamond_keys")
	status, _ = ask(t, http.MethodGet, m[1]+value, "")
	assert.Equal(t, http.StatusNotFound, status)
	status, _ = ask(t, http.MethodGet, d.server+"/metrics", "")
	assert.Equal(t, http.StatusForbidden, status)
}

// What the set-up prints is what to type next: it logs in.
func TestX4_TheMessageHasTheNextCommand(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", data, "--rights")
	next := regexp.MustCompile(`(?m)^next +gdiamond (login --server \S+ \S+)$`).FindStringSubmatch(d.stdout.String())
	require.NotNil(t, next, d.stdout)
	env, _ := profilesFile(t, "")
	out := invokeWith(t, "", []string{env}, strings.Fields(next[1])...)
	assert.Equal(t, outcome{exitOK, "logged in as token:setup, profile default\n", ""}, out)
	assert.NotContains(t, d.stderr.String(), "through a centre", "nothing is wrong")
}

// The value of --rights stands after "=", and whoever forgets it is told.
func TestX4_RightsWithoutEquals(t *testing.T) {
	for _, command := range []string{"server", "standalone"} {
		for _, mode := range []string{govern.ModeClosed, govern.ModeObserve} {
			data := filepath.Join(t.TempDir(), "data")
			out := invoke(t, command, "--data", data, "--rights", mode)
			assert.Equal(t, exitUsage, out.code)
			assert.Contains(t, out.stderr, "; use --rights="+mode+";")
			assert.NoDirExists(t, data)
		}
	}
	out := invoke(t, "server", "--rights", "everybody")
	assert.NotContains(t, out.stderr, "use --rights", "no such mode")
	out = invoke(t, "server", "closed")
	assert.NotContains(t, out.stderr, "use --rights", "no such flag")
}
