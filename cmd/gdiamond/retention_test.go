package main

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// prunable is a store whose history goes when it is told to, too.
type prunable interface {
	diamond.Storage
	Prune(ctx context.Context) error
}

// retentionOf returns what flags stand for.
func retentionOf(t *testing.T, args ...string) storage.Retention {
	t.Helper()
	var s serving
	cmd := &cobra.Command{}
	s.flags(cmd)
	require.NoError(t, cmd.ParseFlags(args))
	require.NoError(t, checkRetention(s.retention))
	return s.retention
}

// kept publishes ten versions of a key, prunes, and returns how many are left.
func kept(t *testing.T, s prunable) int {
	t.Helper()
	key := diamond.NewKey("", "linna")
	for i := range 10 {
		results, err := s.Commit(t.Context(), []diamond.ChangeSet{{Drafts: []diamond.Draft{{Key: key, Content: strconv.Itoa(i)}}}})
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
	}
	require.NoError(t, s.Prune(t.Context()))
	history, err := s.History(t.Context(), key, 0, 100)
	require.NoError(t, err)
	return len(history)
}

// What a server is told to keep, the stores that it opens keep: its own, its
// copy of a database, and the database.
func TestRetention_TakesEffect(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	stores := map[string]func(*testing.T, storage.Retention) prunable{
		"embedded": func(t *testing.T, r storage.Retention) prunable {
			b, err := embedded(t.TempDir(), r, logger)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, b.close()) })
			return b.local
		},
		"copy": func(t *testing.T, r storage.Retention) prunable {
			s, err := openCopy(t.TempDir(), r, logger)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, s.Close()) })
			return s
		},
		"database": func(t *testing.T, r storage.Retention) prunable {
			s, err := openShared(t.Context(), mariadbtest.Database(t), true, r, logger)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, s.Close()) })
			return s
		},
	}
	young := []string{"--history-age", "1h", "--history-changes", "1", "--history-versions", "1"}
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, 10, kept(t, open(t, retentionOf(t))), "by default")
			assert.Equal(t, 10, kept(t, open(t, retentionOf(t, young...))), "they are younger than an hour")
			old := []string{"--history-age", "1ns"}
			assert.Equal(t, 10, kept(t, open(t, retentionOf(t, old...))), "the counts hold whatever their age")
			assert.Equal(t, 3, kept(t, open(t, retentionOf(t, append(old, "--history-changes", "3", "--history-versions", "1")...))))
			assert.Equal(t, 4, kept(t, open(t, retentionOf(t, append(old, "--history-changes", "1", "--history-versions", "4")...))))
			assert.Equal(t, 3, kept(t, open(t, retentionOf(t, append(young, "--history-bytes", "3")...))), "a byte each")
		})
	}
}

// The flags are those of both commands that run a server, with all that flags have.
func TestRetention_Flags(t *testing.T) {
	file := settingsFile(t, "server:\n  history-versions: 7\nstandalone:\n  history-versions: 8\n")
	for command, versions := range map[string]string{"server": "7", "standalone": "8"} {
		got := printed(t, []string{"GDIAMOND_HISTORY_AGE=48h"}, command, "--config", file)
		assert.Equal(t, [2]string{"48h0m0s", "environment variable GDIAMOND_HISTORY_AGE"}, got["history-age"])
		assert.Equal(t, [2]string{"100000", "default"}, got["history-changes"])
		assert.Equal(t, versions, got["history-versions"][0])

		for _, flag := range []string{"--history-age=0", "--history-changes=0", "--history-versions=-1", "--history-bytes=-1"} {
			out := invoke(t, command, flag, "--data", t.TempDir())
			assert.Equal(t, exitUsage, out.code, flag)
			assert.Contains(t, out.stderr, "above 0", flag)
		}
	}
}

// A command that holds a store for a while takes nothing from its history.
func TestRetention_KeepAll(t *testing.T) {
	s, err := boltstore.Open(t.TempDir(), boltstore.WithRetention(storage.Retention{Age: time.Nanosecond, Changes: keepAll.Changes, Versions: 1}))
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, 10, kept(t, s))
}
