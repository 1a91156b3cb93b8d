package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// mute returns the address of a server that takes connections and answers nobody.
func mute(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// Who does not know whether it was done says so, and where to look.
func TestUnanswered_Writes(t *testing.T) {
	for _, args := range [][]string{{"publish", "g/linna", writeFile(t, "x")}, {"rm", "g/linna"}} {
		out := invoke(t, append(args, "--timeout", "5s", "--server", mute(t))...)
		assert.Equal(t, exitError, out.code)
		assert.Contains(t, out.stderr, "gdiamond: commit: outcome unknown: no answer in time; use")
		assert.Contains(t, out.stderr, "`gdiamond history public/g/linna`")
		assert.Contains(t, out.stderr, "--timeout allows more time")
	}
	files := map[string]string{}
	for i := range 5 {
		files[fmt.Sprintf("g/%d", i)] = "x"
	}
	dir := t.TempDir()
	writeTree(t, dir, files)
	out := invoke(t, "import", dir, "--timeout", "300ms", "--server", mute(t))
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "0 of 5 files were published", "who does not list is sent nothing")
	out = invoke(t, "import", dir, "--timeout", "300ms", "--server", "127.0.0.1:1")
	assert.Contains(t, out.stderr, "0 of 5 files were published", "nobody was asked")
}

func TestUnanswered_Export(t *testing.T) {
	out := invoke(t, "export", t.TempDir(), "--timeout", "300ms", "--server", mute(t))
	assert.Equal(t, exitError, out.code)
	assert.Equal(t, "gdiamond: list: no answer in time (0 files were written); --timeout allows more time\n", out.stderr)
}

// unanswered is a transport that never answers.
type unanswered struct{ diamond.Transport }

func (unanswered) List(ctx context.Context, _ *diamond.ListRequest) (*conf.ListResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// An export waits as long as it is told, be that longer than the library would.
func TestUnanswered_ExportWaitsForTheTimeout(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	synctest.Test(t, func(t *testing.T) {
		client, err := diamond.NewClient(unanswered{})
		require.NoError(t, err)
		defer client.Close()
		begun := time.Now()
		c := connection{timeout: time.Minute}
		_, err = c.exportTree(t.Context(), client, root, "")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(begun))
	})
}

// A watch that a server answers with errors goes on, and says why it is silent.
func TestUnanswered_Watch(t *testing.T) {
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	defer srv.Close()
	handler := httptransport.NewHandler(srv)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/changes" {
			handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Diamond-Error", "corrupt")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer hs.Close()
	cmd := command(context.WithoutCancel(t.Context()), nil, "watch", "--from", "start", "--server", hs.URL)
	stderr := new(lockedBuffer)
	cmd.Stderr = stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "corrupt") }, time.Minute, 10*time.Millisecond)
	assert.Contains(t, stderr.String(), "WARN")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	assert.NoError(t, cmd.Wait(), "interrupted, which is how a watch ends")
}

// A watch of a history that is not there any more says how to go on.
func TestWatch_AfterARestore(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	d := standalone(t, data)
	d.must("publish", "linna", writeFile(t, "1"))
	name := filepath.Join(dir, "backup")
	require.Equal(t, exitOK, invoke(t, "backup", data, name).code)
	var lost positionOut
	require.NoError(t, json.Unmarshal([]byte(d.must("publish", "linna", writeFile(t, "2"), "-o", "json")), &lost))
	restored := filepath.Join(dir, "restored")
	require.Equal(t, exitOK, invoke(t, "restore", name, restored).code)

	for what, other := range map[string]*daemon{"not a position": standalone(t, restored), "another store": standalone(t, t.TempDir())} {
		out := other.client("watch", "--from", lost.Position)
		assert.Equal(t, exitError, out.code)
		assert.Contains(t, out.stderr, what)
		assert.Contains(t, out.stderr, "; start again, or with --from start")
	}
	assert.ErrorContains(t, restarted(diamond.ErrCompacted), "start again without --from")
}
