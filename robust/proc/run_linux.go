// Package proc runs a cluster of processes: servers that are killed, paused and
// stopped as an operator, or a kernel, does it, on a real database. The clients
// are in this process, with a proxy on every way.
package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/proxy"
)

// nodes is how many servers a cluster has.
const nodes = 3

// World is a cluster of processes on a database.
type World struct {
	*cluster.Cluster
	Processes []*cluster.Process
	Server    *mariadbtest.Server // of the database
	Database  *cluster.Database
	// Environment has what is set for a node at its next start.
	mu          sync.Mutex
	environment map[int][]string // guarded by mu
}

// NewWorld starts a cluster of the program at binary on a database server of
// its own, and the ways of so many clients to it. It ends with the test.
func NewWorld(t testing.TB, binary string, clients int) *World {
	t.Helper()
	w := &World{Server: mariadbtest.Start(t, mariadbtest.Options{}), environment: make(map[int][]string)}
	var err error
	w.Database, err = cluster.NewDatabase(t.Context(), w.Server.Database(t), nodes)
	require.NoError(t, err)
	t.Cleanup(w.Database.Close)
	dir := t.TempDir()
	var members []cluster.Member
	for i := range nodes {
		addr, err := cluster.FreeAddress()
		require.NoError(t, err)
		p := &cluster.Process{Address: addr, Command: func(addr string) *exec.Cmd {
			cmd := exec.CommandContext(context.Background(), binary,
				"-listen", addr, "-mysql", w.Database.Via(i), "-data", filepath.Join(dir, fmt.Sprint("node-", i)))
			w.mu.Lock()
			defer w.mu.Unlock()
			cmd.Env = append(os.Environ(), w.environment[i]...)
			delete(w.environment, i)
			return cmd
		}}
		w.Processes, members = append(w.Processes, p), append(members, p)
	}
	w.Cluster, err = cluster.New(proxy.Loopback{}, members, clients)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

// Arm has node's next start be with failpoints.
func (w *World) Arm(node int, points string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.environment[node] = []string{"DIAMOND_FAILPOINTS=" + points}
}
