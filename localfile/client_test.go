//go:build unix

package localfile_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// seen is what a listener was called with.
type seen struct {
	content string
	source  conf.Source
}

// A whole client on a real directory: the operator's file beats the server while
// it is there, and a restart without a server starts from the disk.
func TestD8_Defect_C7_OverrideBeatsTheServerWhileItIsThere(t *testing.T) {
	key := conf.NewKey("", "limits.yaml")
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	defer srv.Close()
	dir := t.TempDir()
	files, err := localfile.Open(dir)
	require.NoError(t, err)
	defer files.Close()
	client, err := diamond.NewClient(srv, diamond.WithLocalFiles(files))
	require.NoError(t, err)
	publish := func(content string) {
		t.Helper()
		_, err := client.Publish(t.Context(), conf.Draft{Key: key, Content: content})
		require.NoError(t, err)
	}
	calls := make(chan seen, 100)
	next := func(content string, source conf.Source) {
		t.Helper()
		select {
		case got := <-calls:
			require.Equal(t, seen{content, source}, got)
		case <-time.After(time.Minute):
			require.Fail(t, "the listener was not called")
		}
	}
	publish("rate: 1\n")
	_, err = client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, c conf.Config) error {
		calls <- seen{c.Content, c.Source}
		return nil
	}))
	require.NoError(t, err)
	next("rate: 1\n", conf.SourceServer)

	override := filepath.Join(dir, "overrides", key.String())
	require.NoError(t, os.MkdirAll(filepath.Dir(override), 0o700))
	temp := filepath.Join(dir, "new")
	require.NoError(t, os.WriteFile(temp, []byte("rate: 99\r\n"), 0o600))
	require.NoError(t, os.Rename(temp, override))
	next("rate: 99\r\n", conf.SourceOverride)
	require.Equal(t, conf.SourceOverride, client.Status(key)[0].Source)
	publish("rate: 2\n")
	config, err := client.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, "rate: 99\r\n", config.Content)
	// Else the listener would be told of the first value again, and then of the second.
	require.Eventually(t, func() bool {
		s, err := files.Load(key, conf.SlotFetched)
		return err == nil && s.Entry.Content == "rate: 2\n"
	}, time.Minute, time.Millisecond, "the client has the second value")

	require.NoError(t, os.Remove(override))
	next("rate: 2\n", conf.SourceServer)
	require.NoError(t, client.Close()) // which waits until the snapshot is written
	assert.Empty(t, calls)

	dead := transporttest.NewFaulty(srv)
	dead.Fail(conf.ErrUnavailable)
	offline, err := diamond.NewClient(dead, diamond.WithLocalFiles(files))
	require.NoError(t, err)
	defer offline.Close()
	config, err = offline.Get(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, seen{"rate: 2\n", conf.SourceSnapshot}, seen{config.Content, config.Source})
}
