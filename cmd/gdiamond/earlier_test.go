package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// earlierCommit is the last commit before there were rights.
const earlierCommit = "61fb67fa7c6abcf49170ccdfa73ffcb0fae89bf9"

// earlier builds the program of before there were rights and returns its path. It skips the
// test if the source has no history, as in a shallow clone or an archive.
func earlier(t *testing.T) string {
	t.Helper()
	source, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "archive", "--format=tar", earlierCommit).Output()
	if err != nil {
		t.Skipf("the history of the source is not here, so the earlier program cannot be built: %v", err)
	}
	dir := t.TempDir()
	untar(t, dir, source)
	program := filepath.Join(dir, "earlier")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/gdiamond")
	build.Dir = dir
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

func untar(t *testing.T, dir string, archive []byte) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
}

// programAt is command for another program.
func programAt(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := command(ctx, nil, args...)
	cmd.Path, cmd.Args[0] = program, program
	return cmd
}

// refuses runs a program that must end with an error, and returns what it said.
func refuses(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := programAt(ctx, program, args...).CombinedOutput()
	require.Error(t, err, "%s", out)
	require.NoError(t, ctx.Err(), "it did not end: %s", out)
	return string(out)
}

// system is a set that writes an entry as rights do.
func system() conf.ChangeSet {
	set := conf.ChangeSet{Drafts: []conf.Draft{{
		Key: conf.Key{Namespace: "_govern", Group: "centre", DataID: "marker"}, Content: `{"format":1}`,
	}}}
	set.Origin = "cli"
	return set
}

func published() conf.ChangeSet {
	return conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", "k"), Content: "v"}}}
}

// A program of before there were rights must not serve a store that has them: it would show
// everything to everybody.
func TestEarlierProgramRefusesAGovernedStore(t *testing.T) {
	program := earlier(t)
	t.Run("embedded", func(t *testing.T) {
		data := t.TempDir()
		commit := func(set conf.ChangeSet) {
			s, err := boltstore.Open(data)
			require.NoError(t, err)
			results, err := s.Commit(t.Context(), []conf.ChangeSet{set})
			require.NoError(t, err)
			require.NoError(t, results[0].Err)
			require.NoError(t, s.Close())
		}
		commit(published())
		out, err := programAt(t.Context(), program, "check", data).CombinedOutput()
		require.NoError(t, err, "it can open a store that is not governed: %s", out)

		commit(system())
		before := contentsOf(t, data)
		for _, args := range [][]string{
			{"check", data},
			{"server", "--data", data, "--listen", "127.0.0.1:0"},
			{"standalone", "--data", data, "--listen", "127.0.0.1:0", "--namesrv-listen", "127.0.0.1:0"},
			{"backup", data, filepath.Join(t.TempDir(), "backup")},
		} {
			assert.Contains(t, refuses(t, program, args...), "the store has format 2, this program knows up to 1", args)
		}
		assert.Equal(t, before, contentsOf(t, data), "it has written nothing")

		require.Equal(t, exitOK, invoke(t, "check", data).code)
		backup := filepath.Join(t.TempDir(), "backup")
		require.Equal(t, exitOK, invoke(t, "backup", data, backup).code)
		restored := filepath.Join(t.TempDir(), "restored")
		require.Equal(t, exitOK, invoke(t, "restore", backup, restored).code)
		assert.Contains(t, refuses(t, program, "check", restored), "the store has format 2", "a restored store is governed too")
	})
	t.Run("database", func(t *testing.T) {
		dsn := mariadbtest.Database(t)
		old := startCommand(t, programAt(context.WithoutCancel(t.Context()), program,
			"server", "--mysql", dsn, "--migrate", "--data", t.TempDir(), "--listen", "127.0.0.1:0"))
		publish := func(content string) outcome { return old.clientWith(content, "publish", "k", "--timeout", "3s") }
		require.Equal(t, exitOK, publish("1").code)
		store, err := mysqlstore.Open(t.Context(), dsn, mysqlstore.WithMigrate())
		require.NoError(t, err)
		defer store.Close()
		require.Equal(t, exitOK, publish("2").code, "until the store is governed it works on the newer schema")
		for _, set := range []conf.ChangeSet{published(), system()} {
			results, err := store.Commit(t.Context(), []conf.ChangeSet{set})
			require.NoError(t, err)
			require.NoError(t, results[0].Err)
		}
		head, err := store.PositionAt(t.Context(), 4)
		require.NoError(t, err)

		// What it holds in memory it serves on, as while a database is away, until it ends.
		require.Eventually(t, func() bool {
			return strings.Contains(old.stderr.String(), "a value of 16 bytes has 17")
		}, 40*time.Second, 20*time.Millisecond, "it says that it cannot follow the store")
		assert.NotEqual(t, exitOK, publish("3").code, "it takes no publish")
		_, body := httpDo(t, http.MethodGet, old.server+"/v1/entries?namespace=_govern")
		assert.NotContains(t, body, "marker", "it has learned nothing of what governs the store")
		at, err := store.At(t.Context())
		require.NoError(t, err)
		assert.Equal(t, head, at, "it has neither written nor forked")
		old.kill()
		said := refuses(t, program, "server", "--mysql", dsn, "--data", t.TempDir(), "--listen", "127.0.0.1:0")
		assert.Contains(t, said, "the schema has version 2, this program knows up to 1")
	})
}

// contentsOf returns the files under dir.
func contentsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "lock") {
			return err
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	}))
	return files
}

// The origins of changes have a column, where there are any.
func TestHistoryShowsOrigins(t *testing.T) {
	data := t.TempDir()
	s, err := boltstore.Open(data)
	require.NoError(t, err)
	set := published()
	results, err := s.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.NoError(t, s.Close())
	d := standalone(t, data)
	assert.NotContains(t, d.must("history", "k"), "ORIGIN")
	code, _ := d.terminate()
	require.Equal(t, exitOK, code)

	s, err = boltstore.Open(data)
	require.NoError(t, err)
	set.Origin = "console"
	results, err = s.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.NoError(t, s.Close())
	d = standalone(t, data)
	lines := strings.Split(d.must("history", "k"), "\n")
	assert.Regexp(t, `COMMENT +ORIGIN$`, strings.TrimSpace(lines[0]))
	assert.Regexp(t, `console$`, strings.TrimSpace(lines[1]))
	assert.Regexp(t, `-$`, strings.TrimSpace(lines[2]))
	assert.Contains(t, d.must("history", "k", "-o", "json"), `"origin": "console"`)
}
