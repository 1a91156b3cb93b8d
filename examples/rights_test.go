package examples

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

func TestMain(m *testing.M) { os.Exit(mariadbtest.Main(m).Run()) }

// TestRights runs the scripts of rights/, which are documentation, with the program and a
// database: a cluster with rights from its first start to the rotation of a token, and a live
// centre without rights that gets them. They fail by themselves if anything is otherwise than
// they say.
func TestRights(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		_, err := exec.LookPath(tool)
		require.NoError(t, err, "the scripts need %s", tool)
	}
	program := buildProgram(t)
	for _, script := range []string{"cluster.sh", "live.sh"} {
		t.Run(script, func(t *testing.T) {
			run := exec.CommandContext(t.Context(), "bash", filepath.Join("rights", script))
			run.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "GDIAMOND_") })
			run.Env = append(run.Env,
				"PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"),
				"GDIAMOND_MYSQL="+mariadbtest.Database(t),
				"S1="+freeAddress(t), "S2="+freeAddress(t), "S3="+freeAddress(t))
			out, err := run.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "# Everything worked.")
		})
	}
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
