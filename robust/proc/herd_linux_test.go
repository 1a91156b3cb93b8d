package proc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/traffic"
)

const (
	// herdKeys is how many keys each client of a herd follows.
	herdKeys = 4
	// herdPatience is how long a machine that is busy may take until the last
	// client of a herd has a value.
	herdPatience = 15 * time.Minute
)

// herdProgram builds the program herd, once.
var herdProgram = sync.OnceValues(func() (string, error) {
	into := filepath.Join(programs, "herd")
	return into, cluster.Build(context.Background(), "..", "./herd", into)
})

// herdProcess is a process of many clients.
type herdProcess struct {
	ask  io.WriteCloser
	told chan string // its answers; closed when it has ended
}

func startHerd(t *testing.T, clients int, servers ...string) *herdProcess {
	t.Helper()
	program, err := herdProgram()
	require.NoError(t, err)
	args := append([]string{strconv.Itoa(clients), strconv.Itoa(herdKeys)}, servers...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stderr = t.Output()
	ask, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	h := &herdProcess{ask: ask, told: make(chan string, 100)}
	go func() {
		defer close(h.told)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			h.told <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = ask.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return h
}

// awaitHerds waits until all clients of all processes are at content, and
// returns what memory the processes have had.
func awaitHerds(t *testing.T, herds []*herdProcess, content string) []string {
	t.Helper()
	timeout := time.NewTimer(herdPatience)
	defer timeout.Stop()
	for _, h := range herds {
		_, err := fmt.Fprintln(h.ask, content)
		require.NoError(t, err, "a process of clients has ended")
	}
	var peaks []string
	for i, h := range herds {
		select {
		case line, ok := <-h.told:
			require.True(t, ok, "a process of clients has ended")
			value, peak, _ := strings.Cut(line, " ")
			require.Equal(t, content, value)
			peaks = append(peaks, peak)
		case <-timeout.C:
			require.Fail(t, "not all clients get there", "process %d, %q", i, content)
		}
	}
	return peaks
}

// L7: all servers are killed and come back at once, and so do 10,000 clients of
// theirs; then the same, and one server alone comes back and has all of them. All
// clients get what there is, no server or client dies of it, the database is asked
// no more than without them, and then all is as it was.
func TestL7_ThunderingHerd(t *testing.T) {
	const processes = 2
	clients := campaign.Scale(t, 50, 5000) // of each process
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.GreaterOrEqual(t, limit.Max, uint64(3*clients), "files that a process may open: each client has a connection or two")
	w := world(t, 0)
	w.quietly(t)
	publish := func(servers int, content string) {
		t.Helper()
		for k := range herdKeys {
			req := &conf.CommitRequest{Set: diamond.ChangeSet{
				RequestID: fmt.Sprint(content, k), Drafts: []diamond.Draft{{Key: traffic.Key(k), Content: content}},
			}}
			w.await(t, func() bool { // a server may have only just started
				_, err := w.Direct(k%servers).Commit(t.Context(), req)
				return err == nil
			})
		}
	}
	publish(nodes, "first")
	var addrs []string
	for _, p := range w.Processes {
		addrs = append(addrs, p.Addr())
	}
	began := time.Now()
	var herds []*herdProcess
	for range processes {
		herds = append(herds, startHerd(t, clients, addrs...))
	}
	awaitHerds(t, herds, "first")
	t.Logf("%d clients had the first value after %v", processes*clients, since(began))

	for _, servers := range []int{nodes, 1} {
		name := fmt.Sprintf("back-%d", servers)
		asked := w.statements(t)
		for _, p := range w.Processes {
			p.Signal(syscall.SIGKILL)
		}
		for _, p := range w.Processes {
			p.Kill()
		}
		began = time.Now()
		var starting errgroup.Group
		for _, p := range w.Processes[:servers] {
			starting.Go(p.Start)
		}
		require.NoError(t, starting.Wait())
		publish(servers, name)
		t.Logf("%s: all keys were published after %v", name, since(began))
		peaks := awaitHerds(t, herds, name)
		t.Logf("%s: all clients had the value after %v; memory of clients %v", name, since(began), peaks)
		took := time.Since(began)
		asked = w.statements(t) - asked
		requests := w.weigh(t, addrs[:servers])
		t.Logf("%s: %d statements, %.0f requests", name, asked, requests)
		// What an idle cluster asks, the start of servers and the publishes: nothing of it is a client's.
		assert.LessOrEqual(t, asked, nodes*(100+int(10*took.Seconds())), "statements")
		// A client asks anew after a second or so, then ever more seldom.
		assert.LessOrEqual(t, requests, float64(processes*clients)*(10+took.Seconds()), "requests")

		began = time.Now()
		for i := range 3 {
			publish(servers, fmt.Sprint(name, "-again-", i))
		}
		awaitHerds(t, herds, name+"-again-2")
		t.Logf("%s: the last of three more values took %v", name, since(began))
		for i, p := range w.Processes[:servers] {
			assert.True(t, p.Running(), "server %d: %s", i, p.Log())
			for k := range herdKeys {
				w.await(t, func() bool {
					resp, err := w.Direct(i).Fetch(t.Context(), &conf.FetchRequest{Key: traffic.Key(k)})
					return err == nil && resp.Entry.Content == name+"-again-2"
				})
			}
		}
		for _, p := range w.Processes {
			require.NoError(t, p.Start())
		}
	}
}

// statements returns how many the database has had.
func (w *World) statements(t *testing.T) (n int) {
	t.Helper()
	var name string
	db := mariadbtest.Connect(t, w.Server.DSN())
	require.NoError(t, db.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n))
	return n
}

// weigh logs what servers bear, sees to it that it is not too much, and returns
// how many requests they have had.
func (w *World) weigh(t *testing.T, addrs []string) (requests float64) {
	t.Helper()
	const mib = 1 << 20
	for i, addr := range addrs {
		var all map[string]float64
		w.await(t, func() bool { all = metrics(t, addr); return all != nil })
		for name, n := range all {
			if strings.HasPrefix(name, "diamond_http_requests_total{") {
				requests += n
			}
		}
		resident := all["process_resident_memory_bytes"] / mib
		t.Logf("server %d: %.0f clients wait, %.0f MiB, %.0f open files", i, all[waiters], resident, all["process_open_fds"])
		assert.Less(t, resident, 2048.0, "MiB of server %d", i)
	}
	return requests
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// quietly has servers, from now on, not log each request.
func (w *World) quietly(t *testing.T) {
	t.Helper()
	for _, p := range w.Processes {
		command := p.Command
		p.Command = func(addr string) *exec.Cmd {
			cmd := command(addr)
			cmd.Args = append(cmd.Args, "--log-level", "info")
			return cmd
		}
		require.NoError(t, p.Stop())
		require.NoError(t, p.Start())
	}
}
