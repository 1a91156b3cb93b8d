// Package inproc runs a cluster in this process on real sockets and a real database, with a
// proxy on every connection.
package inproc

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	diamond "github.com/linnaname/gdiamond"
	diamondcluster "github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/report"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport"
)

// nodes is the number of servers in a cluster.
const nodes = 3

// World is a cluster on a database.
type World struct {
	*cluster.Cluster
	Nodes    []*cluster.Node
	Server   *mariadbtest.Server // of the database, or nil if it is not the world's
	Database *cluster.Database
	Peers    []*proxy.Proxy // the links between nodes
	Names    []*proxy.Proxy // the links of nodes, then of clients, to each name server; may be nil
}

// NewWorld starts a cluster on a separate database server, with links for the given number of
// clients. It ends with the test.
func NewWorld(t testing.TB, clients int) *World {
	t.Helper()
	database := mariadbtest.Start(t, mariadbtest.Options{})
	w := NewWorldOn(t, database.Database(t), clients)
	w.Server = database
	return w
}

// NewWorldOn is [NewWorld] on an existing database.
func NewWorldOn(t testing.TB, dsn string, clients int) *World {
	t.Helper()
	return newWorldOn(t, dsn, clients, 0)
}

// NewWorldWithNames is [NewWorldOn] with two name servers, through which nodes
// and clients find the nodes.
func NewWorldWithNames(t testing.TB, dsn string, clients int) *World {
	t.Helper()
	return newWorldOn(t, dsn, clients, 2)
}

func newWorldOn(t testing.TB, dsn string, clients, names int) *World {
	t.Helper()
	w := new(World)
	var err error
	w.Database, err = cluster.NewDatabase(t.Context(), dsn, nodes)
	require.NoError(t, err)
	t.Cleanup(w.Database.Close)
	dir := t.TempDir()
	var members []cluster.Member
	for i := range nodes {
		node := w.Database.Node(i, dir)
		w.Nodes, members = append(w.Nodes, node), append(members, node)
	}
	secret, err := diamondcluster.NewSecret("the secret of all servers in here")
	require.NoError(t, err)
	registry, resolver := w.startNames(t, names, secret)
	for i, node := range w.Nodes {
		options := []server.Option{server.WithPeers(w.linkPeers(t, i), secret)}
		if registry != nil {
			options = append(options, server.WithRegistry(registry, ""))
		}
		node.NodeOptions = func() []server.Option { return options }
	}
	w.Cluster, err = cluster.New(proxy.Loopback{}, members, clients)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	if resolver != nil {
		w.Resolver = resolver
	}
	files := t.TempDir()
	w.NewFiles = func(client int) diamond.LocalFiles { return openFiles(t, files, client) }
	return w
}

// linkPeers creates the links of a node to all others.
func (w *World) linkPeers(t testing.TB, node int) transport.Resolver {
	var addrs []string
	for i, other := range w.Nodes {
		if i == node {
			continue
		}
		link := way(t, other.Dial)
		w.Peers = append(w.Peers, link)
		addrs = append(addrs, link.Addr())
	}
	return transport.Static(addrs...)
}

func openFiles(t testing.TB, parent string, client int) diamond.LocalFiles {
	dir, err := localfile.Open(clientDir(parent, client))
	require.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// Plan is one run.
type Plan struct {
	Traffic traffic.Config
	Lasts   time.Duration
	// Faults has lists of faults. One fault of each list is active at a time.
	Faults [][]fault.Fault
	Gap    time.Duration // the longest pause between the faults of a list
}

// DefaultTraffic returns the load of a run with a seed.
func DefaultTraffic(seed uint64) traffic.Config {
	return traffic.Config{
		Seed: seed, Keys: 4, Subscribers: 3, Watchers: 2, Publishers: 3, Readers: 2,
		Pause: 100 * time.Millisecond, MaxContent: 4000, Restarts: true, Patience: 2 * time.Second,
	}
}

// Run runs a plan against w and validates it.
func (w *World) Run(t testing.TB, plan Plan) {
	t.Helper()
	recorder := record.New(plan.Traffic.Seed)
	load := traffic.Start(w, plan.Traffic, recorder)
	ctx, cancel := context.WithTimeout(t.Context(), plan.Lasts)
	defer cancel()
	var failing errgroup.Group
	for i, faults := range plan.Faults {
		random := rand.New(rand.NewPCG(plan.Traffic.Seed, uint64(i)))
		failing.Go(func() error { return fault.Run(ctx, random, plan.Gap, faults, recorder) })
	}
	w.Conclude(t, load, recorder, plan.Traffic, failing.Wait())
}

// Conclude ends a run and validates its recording.
func (w *World) Conclude(t testing.TB, load *traffic.Traffic, recorder *record.Recorder, config traffic.Config, failed error) {
	t.Helper()
	err := errors.Join(failed, w.Restore())
	store, opened := w.Database.Open(t.Context())
	require.NoError(t, opened)
	defer store.Close()
	err = errors.Join(err, w.Judge(t.Context(), load, config.Keys, store, recorder))
	require.NoError(t, err)
	report.Check(t, recorder.History(), w.Logs())
}

// Restore ends all remaining faults.
func (w *World) Restore() error {
	w.Heal()
	for _, link := range slices.Concat(w.Database.Links, w.Peers, w.Names) {
		link.Set(proxy.Conditions{})
	}
	var errs []error
	for _, n := range w.Members {
		errs = append(errs, n.Start())
	}
	return errors.Join(errs...)
}
