package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// doorman is a server that only says who callers are, and what they may do.
func doorman(t *testing.T) (address string) {
	t.Helper()
	refuse := func(w http.ResponseWriter) {
		w.Header().Set("Diamond-Error", "unauthenticated")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": "unauthenticated", "message": "the token is not valid"}})
	}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "":
			answer(w, map[string]any{"principal": "", "mode": "closed"})
		case "Bearer gd_good":
			answer(w, map[string]any{"principal": "token:ci", "mode": "closed", "expires": "2030-01-02T03:04:05Z", "teams": []string{"devs"}})
		default:
			refuse(w)
		}
	})
	mux.HandleFunc("GET /v1/can", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		answer(w, map[string]any{"allowed": q.Get("verb") == "read" && q.Get("scope") == "all" && q.Get("as") == "user:ann", "why": "because"})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestLogin(t *testing.T) {
	address := doorman(t)
	env, file := profilesFile(t, "")
	do := func(stdin string, args ...string) outcome { return invokeWith(t, stdin, []string{env}, args...) }

	out := do("gd_canary\n", "login", "--server", address)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "not valid")
	assert.NotContains(t, out.stderr, "canary")
	assert.NoFileExists(t, file, "a token that no server accepts is not kept")
	for _, wrong := range []string{"", " \n", "gd can ary", "gd_\x01canary", "gd_é"} {
		out = do(wrong, "login", "--server", address)
		assert.Equal(t, exitUsage, out.code)
		assert.Contains(t, out.stderr, "token: ")
		assert.NotContains(t, out.stderr, "canary")
	}

	out = do("gd_good\n", "login", "--server", address)
	assert.Equal(t, outcome{exitOK, "logged in as token:ci, profile default\n", ""}, out)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	out = do("", "whoami")
	assert.Equal(t, "PRINCIPAL  MODE    EXPIRES               TEAMS\ntoken:ci   closed  2030-01-02T03:04:05Z  devs\n", out.stdout, out.stderr)
	out = do("", "whoami", "--server", address)
	assert.Contains(t, out.stdout, "anonymous", "the token of a profile is for its own servers, named by nothing else")

	out = do("", "login", "--server", address, "--profile", "test", writeFile(t, "gd_good"))
	assert.Equal(t, "logged in as token:ci, profile test\n", out.stdout, out.stderr)
	assert.Contains(t, do("", "profile", "ls").stdout, "test     yes")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(string(data), "gd_good"))
}

func TestWhoami(t *testing.T) {
	server := "GDIAMOND_SERVER=" + doorman(t)
	out := invokeWith(t, "", []string{server, "GDIAMOND_TOKEN=gd_good"}, "whoami", "-o", "json")
	assert.JSONEq(t, `{"principal":"token:ci","mode":"closed","expires":"2030-01-02T03:04:05Z","teams":["devs"]}`, out.stdout, out.stderr)
	out = invokeWith(t, "", []string{server}, "whoami", "-o", "json")
	assert.JSONEq(t, `{"principal":"anonymous","mode":"closed"}`, out.stdout, out.stderr)
	out = invokeWith(t, "", []string{server}, "whoami", "--token-file", writeFile(t, "gd_good\n"))
	assert.Contains(t, out.stdout, "token:ci", out.stderr)
	out = invokeWith(t, "", []string{server, "GDIAMOND_TOKEN=gd canary"}, "whoami")
	assert.Equal(t, exitUsage, out.code)
	assert.NotContains(t, out.stderr, "canary")
	open := writeFile(t, "gd_good")
	require.NoError(t, os.Chmod(open, 0o644))
	out = invokeWith(t, "", []string{server}, "whoami", "--token-file", open)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "token-file: ")
	assert.Contains(t, out.stderr, "everybody on this machine can read it")
}

func TestCan(t *testing.T) {
	server := []string{"GDIAMOND_SERVER=" + doorman(t)}
	assert.Equal(t, outcome{exitOK, "yes: because\n", ""}, invokeWith(t, "", server, "can", "read", "all", "--as", "user:ann"))
	assert.Equal(t, outcome{exitNo, "no: because\n", ""}, invokeWith(t, "", server, "can", "read", "all"))
	out := invokeWith(t, "", server, "can", "release", "all", "--as", "user:ann", "-o", "json")
	assert.Equal(t, exitNo, out.code)
	assert.JSONEq(t, `{"allowed":false,"why":"because"}`, out.stdout)
}

// The README's cluster has its name servers in the environment. The command that a set-up prints
// works there, and whoever logs in is told that the profile is not used there.
func TestLogin_WithServersInTheEnvironment(t *testing.T) {
	address := doorman(t)
	env, _ := profilesFile(t, "")
	names := "GDIAMOND_NAMESRV=http://127.0.0.1:1"
	out := invokeWith(t, "gd_good", []string{env, names}, "login", "--server", address)
	assert.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stderr, "GDIAMOND_NAMESRV is set: ")
	assert.Equal(t, 1, strings.Count(out.stderr, "\n"))
	out = invokeWith(t, "", []string{env, names}, "whoami", "--profile", "default")
	assert.Contains(t, out.stdout, "token:ci", out.stderr)
	out = invokeWith(t, "gd_good", []string{env, "GDIAMOND_SERVER=" + address}, "login")
	assert.Equal(t, exitOK, out.code, out.stderr)
	assert.Contains(t, out.stderr, "GDIAMOND_SERVER is set: ")
}
