// Package proc runs a cluster of processes on a real database. Servers are killed, paused and
// stopped as an operator or a kernel would do it. The clients are in this process, with a proxy
// on every connection.
package proc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/rights"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// nodes is the number of servers in a cluster.
const nodes = 3

// World is a cluster of processes on a database.
type World struct {
	*cluster.Cluster
	Processes []*cluster.Process
	Names     []*cluster.Process  // the name servers, or nil
	Server    *mariadbtest.Server // of the database
	Database  *cluster.Database
	Clocks    [nodes]string // DIAMOND_CLOCK of each node
	Cast      *rights.Cast  // of a governed cluster, or nil

	gdiamond string // the program
	secret   string // file with the cluster's secret

	mu sync.Mutex
	// environment has the variables for the next start of a node; guarded by mu.
	environment map[int][]string
}

// NewWorld starts a cluster of the program gdiamond on a separate database server, with links
// for the given number of clients. clocks are the errors of the first nodes' clocks. The
// cluster ends with the test.
func NewWorld(t testing.TB, gdiamond string, clients int, clocks ...string) *World {
	t.Helper()
	return newWorld(t, gdiamond, way{}, clients, clocks...)
}

// NewWorldWithNames is [NewWorld] with two name servers, through which servers
// and clients find the servers.
func NewWorldWithNames(t testing.TB, gdiamond string, clients int) *World {
	t.Helper()
	return newWorld(t, gdiamond, way{names: 2}, clients)
}

// NewWorldWithFronts is [NewWorldWithNames] with a front before each server, which terminates
// TLS and speaks HTTP/2.
func NewWorldWithFronts(t testing.TB, gdiamond string, clients int) *World {
	t.Helper()
	return newWorld(t, gdiamond, way{names: 2, authority: certtest.NewAuthority(t)}, clients)
}

// NewWorldWithRights is [NewWorldWithNames] with servers that decide by rights.
func NewWorldWithRights(t testing.TB, gdiamond string, config traffic.Config, recorder *record.Recorder) *World {
	t.Helper()
	govern := func(store diamond.Storage) (*rights.Cast, error) {
		return rights.SetUp(t.Context(), store, 2, t.TempDir(), recorder)
	}
	w := newWorld(t, gdiamond, way{names: 2, govern: govern}, config.Clients()+rights.Administrators)
	w.Token = func(client int) string { return w.Cast.Secret(w.Cast.Of(&config, client)) }
	w.TokenFile = func(client int) string { return w.Cast.File(w.Cast.Of(&config, client)) }
	return w
}

// way describes how clients find and reach servers.
type way struct {
	names     int                 // number of name servers
	authority *certtest.Authority // of the fronts, or nil if there are none
	// govern makes the store governed before servers start. It may be nil.
	govern func(diamond.Storage) (*rights.Cast, error)
}

func newWorld(t testing.TB, gdiamond string, way way, clients int, clocks ...string) *World {
	t.Helper()
	dir := t.TempDir()
	w := &World{
		Server: mariadbtest.Start(t, mariadbtest.Options{}), environment: make(map[int][]string),
		gdiamond: gdiamond, secret: filepath.Join(dir, "secret"),
	}
	require.NoError(t, os.WriteFile(w.secret, []byte("the secret of all servers in here\n"), 0o600))
	for i := range w.Clocks {
		w.Clocks[i] = "DIAMOND_CLOCK="
		if i < len(clocks) {
			w.Clocks[i] += clocks[i]
		}
	}
	var err error
	w.Database, err = cluster.NewDatabase(t.Context(), w.Server.Database(t), nodes)
	require.NoError(t, err)
	t.Cleanup(w.Database.Close)
	if way.govern != nil {
		store, err := w.Database.Open(t.Context())
		require.NoError(t, err)
		w.Cast, err = way.govern(store)
		require.NoError(t, errors.Join(err, store.Close()))
	}
	urls := w.startNames(t, way.names)
	var members []cluster.Member
	for i := range nodes {
		addr, err := cluster.FreeAddress()
		require.NoError(t, err)
		p := &cluster.Process{Address: addr, Command: func(addr string) *exec.Cmd {
			cmd := w.command(addr, w.Database.Via(i), filepath.Join(dir, fmt.Sprint("node-", i)), urls...)
			w.mu.Lock()
			defer w.mu.Unlock()
			cmd.Env = append(append(os.Environ(), w.environment[i]...), w.Clocks[i])
			delete(w.environment, i)
			return cmd
		}}
		w.Processes, members = append(w.Processes, p), append(members, way.member(t, p))
	}
	w.Cluster, err = cluster.New(proxy.Loopback{}, members, clients)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	if way.authority != nil {
		w.TLS = &tls.Config{RootCAs: way.authority.Pool()}
	}
	if len(urls) > 0 {
		names, err := namesrv.NewClient(urls)
		require.NoError(t, err)
		w.Resolver = names
	}
	return w
}

// member returns p in the form in which clients reach it.
func (way way) member(t testing.TB, p *cluster.Process) cluster.Member {
	if way.authority == nil {
		return p
	}
	front, err := proxy.NewFront(proxy.Loopback{}, way.authority.TLS(t, proxy.Host()), p.Dial)
	require.NoError(t, err)
	t.Cleanup(front.Close)
	return cluster.Fronted{Member: p, Front: front}
}

// command returns the command of a server at addr, on the database of dsn with a copy in data.
// It finds the other servers through the name servers at urls.
func (w *World) command(addr, dsn, data string, urls ...string) *exec.Cmd {
	args := []string{
		"server", "--log-level", "debug", "--listen", addr, "--mysql", dsn, "--migrate", "--data", data,
		"--cluster-secret-file", w.secret,
	}
	if len(urls) > 0 {
		args = append(args, "--namesrv", strings.Join(urls, ","))
	}
	if w.Cast != nil {
		args = append(args, "--rights")
	}
	return exec.CommandContext(context.Background(), w.gdiamond, args...)
}

// startNames starts the given number of name servers, and returns their URLs.
func (w *World) startNames(t testing.TB, count int) (urls []string) {
	for range count {
		addr, err := cluster.FreeAddress()
		require.NoError(t, err)
		p := &cluster.Process{Address: addr, Command: func(addr string) *exec.Cmd {
			return exec.CommandContext(context.Background(), w.gdiamond, "namesrv", "--listen", addr, "--cluster-secret-file", w.secret)
		}}
		require.NoError(t, p.Start())
		t.Cleanup(func() { require.NoError(t, p.Stop()) })
		w.Names = append(w.Names, p)
		urls = append(urls, "http://"+addr)
	}
	return urls
}

// Arm sets failpoints for the next start of node.
func (w *World) Arm(node int, points string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.environment[node] = append(w.environment[node], "DIAMOND_FAILPOINTS="+points)
}
