package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// runMain in the environment has the test binary be the program, so that the
// tests run the real one without building it again.
const runMain = "RUN_GDIAMOND_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(mariadbtest.Main(m).Run())
}

// command returns the program with args, in an environment without any of its
// variables and profiles, but that its clients are as patient as a slow machine needs.
func command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GDIAMOND_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	// The race detector would sleep for a second at each exit.
	cmd.Env = append(append(cmd.Env, runMain+"=1", "GORACE=atexit_sleep_ms=0", "GDIAMOND_TIMEOUT=60s", "XDG_CONFIG_HOME=/nowhere"), env...)
	return cmd
}

// outcome is what a command that has ended leaves.
type outcome struct {
	code           int
	stdout, stderr string
}

// invoke runs the program to its end.
func invoke(t *testing.T, args ...string) outcome { return invokeWith(t, "", nil, args...) }

func invokeWith(t *testing.T, stdin string, env []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	cmd := command(ctx, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// daemon is a running server or name server.
type daemon struct {
	t       *testing.T
	cmd     *exec.Cmd
	server  string // http://host:port; "" for a name server alone
	namesrv string
	peers   string // https://host:port; "" without --peer-listen
	stdout  *lockedBuffer
	stderr  *lockedBuffer
	exited  chan struct{}
}

var addressLine = regexp.MustCompile(`^(name server|server|peers) +(https?://\S+)`)

// standalone starts a centre on free ports.
func standalone(t *testing.T, data string, args ...string) *daemon {
	t.Helper()
	return start(t, append([]string{
		"standalone", "--listen", "127.0.0.1:0", "--namesrv-listen", "127.0.0.1:0", "--data", data,
	}, args...)...)
}

// start starts the program and waits until it has said where it serves, and,
// if it is a server, until it is ready.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startCommand(t, command(context.WithoutCancel(t.Context()), nil, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := spawn(t, cmd)
	if d.server != "" {
		require.Eventually(t, func() bool {
			res, err := http.Get(d.server + "/readyz")
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		}, time.Minute, 5*time.Millisecond, "never ready")
	}
	return d
}

// startUnready is start for a server that need not be ready.
func startUnready(t *testing.T, args ...string) *daemon {
	t.Helper()
	return spawn(t, command(context.WithoutCancel(t.Context()), nil, args...))
}

// spawn starts the program and waits until it has said where it serves.
func spawn(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: cmd, stdout: new(lockedBuffer), stderr: new(lockedBuffer), exited: make(chan struct{})}
	if d.cmd.Stderr == nil {
		d.cmd.Stderr = d.stderr
	}
	stdout, err := d.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, d.cmd.Start())
	t.Cleanup(func() { d.kill() })

	said := make(chan [2]string, 2)
	go func() {
		defer close(d.exited)
		defer close(said)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			_, _ = d.stdout.Write(append(lines.Bytes(), '\n'))
			if m := addressLine.FindStringSubmatch(lines.Text()); m != nil {
				said <- [2]string{m[1], m[2]}
			}
		}
		_ = d.cmd.Wait()
	}()
	want := 1
	if line := strings.Join(cmd.Args, " "); strings.Contains(line, "standalone") || strings.Contains(line, "--peer-listen") {
		want = 2
	}
	timeout := time.After(60 * time.Second)
	for range want {
		select {
		case line, ok := <-said:
			require.True(t, ok, "it ended at once: %s", d.stderr)
			switch line[0] {
			case "server":
				d.server = line[1]
			case "peers":
				d.peers = line[1]
			default:
				d.namesrv = line[1]
			}
		case <-timeout:
			require.Fail(t, "it never said where it serves", d.stderr.String())
		}
	}
	return d
}

// kill is what power loss is to the process.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// terminate sends SIGTERM and returns the exit code and how long it took.
func (d *daemon) terminate() (int, time.Duration) {
	begun := time.Now()
	require.NoError(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-d.exited:
	case <-time.After(60 * time.Second):
		require.Fail(d.t, "does not end", d.stderr.String())
	}
	return d.cmd.ProcessState.ExitCode(), time.Since(begun)
}

// client runs a client command against the server.
func (d *daemon) client(args ...string) outcome { return d.clientWith("", args...) }

func (d *daemon) clientWith(stdin string, args ...string) outcome {
	d.t.Helper()
	return invokeWith(d.t, stdin, []string{"GDIAMOND_SERVER=" + strings.TrimPrefix(d.server, "http://")}, args...)
}

// must runs a client command that succeeds, and returns what it wrote.
func (d *daemon) must(args ...string) string {
	d.t.Helper()
	out := d.client(args...)
	require.Equal(d.t, exitOK, out.code, "%v: %s", args, out.stderr)
	return out.stdout
}

// httpDo sends one request and returns status and body.
func httpDo(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// writeTree writes files, by path, under dir.
func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		full := filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
}

// readTree is writeTree backwards.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == manifestName {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(content)
		return err
	}))
	return files
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
