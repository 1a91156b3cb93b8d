//go:build unix

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the image has is one binary, a directory of its user, and its command: in an empty root
// directory it starts, writes its token, and asks for rights.
func TestDeploy_ImageInAnEmptyRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can change the root directory")
	}
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(root, "data"), 0o755))
	require.NoError(t, os.Chown(filepath.Join(root, "data"), 65532, 65532))
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(root, "gdiamond"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	line := imageCommand(t)
	for i, arg := range line { // on free ports
		line[i] = strings.NewReplacer("0.0.0.0:1210", "0.0.0.0:0", "0.0.0.0:8080", "0.0.0.0:0").Replace(arg)
	}
	cmd := exec.CommandContext(t.Context(), "/gdiamond", line...)
	cmd.Path, cmd.Err, cmd.Dir, cmd.Env = "/gdiamond", nil, "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	d := spawn(t, cmd)
	d.server = regexp.MustCompile(`\[::\]|0\.0\.0\.0`).ReplaceAllString(d.server, "127.0.0.1")
	require.Eventually(t, func() bool { status, _ := ask(t, http.MethodGet, d.server+"/readyz", ""); return status == 200 }, time.Minute, 5*time.Millisecond)
	token := d.token()
	content, err := os.ReadFile(filepath.Join(root, "data", "setup-token"))
	require.NoError(t, err)
	assert.Equal(t, token+"\n", string(content))
	asksForRights(t, d, token)
	code, _ := d.terminate()
	assert.Equal(t, exitOK, code)
}
