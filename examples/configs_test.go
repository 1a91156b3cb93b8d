// Package examples tries the example configurations: the main job on real input.
package examples

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// TestRealConfigurations imports configs/ with the program, reads every file
// over both protocols, exports it, and has it back byte for byte, also after
// the server was started anew.
func TestRealConfigurations(t *testing.T) {
	program := buildProgram(t)
	data := t.TempDir()
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("first=%v", first), func(t *testing.T) {
			addr := serve(t, data)
			gdiamond := func(args ...string) string {
				out, err := exec.CommandContext(t.Context(), program, append(args, "--server", addr)...).CombinedOutput()
				require.NoError(t, err, "%v: %s", args, out)
				return string(out)
			}
			if first {
				require.Contains(t, gdiamond("import", "configs"), "13 files")
			}
			exported := t.TempDir()
			gdiamond("export", exported)
			files := 0
			err := filepath.WalkDir("configs", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				files++
				want, err := os.ReadFile(path)
				require.NoError(t, err)
				rest, _ := filepath.Rel("configs", path)
				group, id, _ := strings.Cut(filepath.ToSlash(rest), "/")

				got, err := os.ReadFile(filepath.Join(exported, rest))
				require.NoError(t, err)
				require.True(t, string(want) == string(got), "%s exported", path)
				require.True(t, string(want) == get(t, "http://"+addr+"/v1/configs/public/"+group+"/"+id), "%s over /v1/", path)
				query := url.Values{"dataId": {id}, "group": {group}}.Encode()
				require.True(t, string(want) == get(t, "http://"+addr+"/diamond-server/config?"+query), "%s over the original protocol", path)
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, 13, files)
		})
	}
}

// buildProgram builds gdiamond and returns its path.
func buildProgram(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "gdiamond")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/gdiamond")
	build.Dir = ".."
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

func serve(t *testing.T, data string) string {
	store, err := boltstore.Open(data)
	require.NoError(t, err)
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stopped := make(chan error)
	go func() { stopped <- server.NewNode(srv, server.WithListener(listener)).Run(t.Context()) }()
	t.Cleanup(func() {
		require.NoError(t, <-stopped)
		require.NoError(t, store.Close())
	})
	return listener.Addr().String()
}

func get(t *testing.T, url string) string {
	res, err := http.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", body)
	return string(body)
}

// A client follows the 5 MiB file too, which no poll carries inline.
func TestLargeFileIsFollowed(t *testing.T) {
	addr := serve(t, t.TempDir())
	client, err := dial.Servers(addr)
	require.NoError(t, err)
	defer client.Close()
	content, err := os.ReadFile("configs/edge/routes-5MiB.csv")
	require.NoError(t, err)
	require.Len(t, content, 5<<20)
	key := diamond.NewKey("edge", "routes-5MiB.csv")
	_, err = client.Publish(t.Context(), diamond.Draft{Key: key, Content: string(content)})
	require.NoError(t, err)

	value, err := diamond.Bind[string](t.Context(), client, key)
	require.NoError(t, err)
	defer value.Close()
	require.True(t, *value.Get() == string(content))
	changed := make(chan string, 4)
	value.OnChange(func(_, now *string) { changed <- *now })
	require.True(t, <-changed == string(content), "the present value comes first")
	changedContent := strings.Replace(string(content), "north", "NORTH", 1)
	_, err = client.Publish(t.Context(), diamond.Draft{Key: key, Content: changedContent})
	require.NoError(t, err)
	require.True(t, <-changed == changedContent)
}
