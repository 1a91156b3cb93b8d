package proc

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// clientOf in the environment has the test binary be a client of the server
// that it names.
const clientOf = "ROBUST_CLIENT_OF"

// runClient prints each value that a listener is told, until it is killed.
func runClient(addr string) {
	over, err := httptransport.New(addr)
	if err != nil {
		panic(err)
	}
	client, err := diamond.NewClient(over)
	if err != nil {
		panic(err)
	}
	_, err = client.Subscribe(traffic.Key(0), diamond.ListenerFunc(func(_ context.Context, config diamond.Config) error {
		fmt.Println(config.Content)
		return nil
	}))
	if err != nil {
		panic(err)
	}
	select {}
}

// A client is frozen while many changes are made, and thawed: it is told of the
// last of them, and not of all that it has slept through.
func TestC11_FrozenClient(t *testing.T) {
	w := world(t, 0)
	w.commit(t, 0, set("first", "first"))
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), clientOf+"="+w.Members[0].Addr())
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said := make(chan string, 1000)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			said <- lines.Text()
		}
		close(said)
	}()
	require.Equal(t, "first", <-said)

	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	w.await(t, func() bool { return frozen(t, cmd.Process.Pid) })
	for i := range 50 {
		w.commit(t, i%nodes, set(fmt.Sprint("asleep-", i), fmt.Sprint("asleep ", i)))
	}
	last := w.commit(t, 0, set("last", "last"))
	over := w.Direct(0)
	w.await(t, func() bool {
		resp, err := over.Fetch(t.Context(), &conf.FetchRequest{Key: traffic.Key(0)})
		return err == nil && resp.Position == last.Position
	})
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	var told []string
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for len(told) == 0 || told[len(told)-1] != "last" {
		select {
		case value := <-said:
			told = append(told, value)
		case <-timeout.C:
			require.Fail(t, "it is not told of the last value", "told %v", told)
		}
	}
	// One answer may have been on its way to it when it froze.
	assert.LessOrEqual(t, len(told), 2, "told %v", told)
}

// frozen reports whether all threads of a process have stopped.
func frozen(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil || !strings.Contains(string(status), "\nState:\tT") {
			return false
		}
	}
	return len(threads) > 0
}
