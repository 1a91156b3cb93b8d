// Package sim runs a cluster in a synctest bubble. The clock is the bubble's, and the network
// is in memory. The nodes share one storage in memory, so they see each other's commits only by
// their feeds. A minute of faults takes a fraction of a second, so many seeds can be tried.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/report"
	"github.com/linnaname/gdiamond/robust/rights"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// nodes is the number of servers in a simulated cluster.
const nodes = 3

// settle is the time for all to catch up after the last fault has healed. Clients with several
// consecutive failures pause for up to 30 s, so that they do not return all at once.
const settle = 35 * time.Second

// Plan is one simulated run.
type Plan struct {
	Traffic traffic.Config
	// Lasts is the time during which faults are injected.
	Lasts time.Duration
	// Delay is the longest delay of a call of the storage, and of its answer.
	Delay time.Duration
	// Faults create lists of faults. One fault of each list is active at a time.
	Faults []func(*World) []fault.Fault
	// Gap is the longest pause between the faults of a list.
	Gap time.Duration
	// Guests is the number of guests of a governed cluster; see the package rights. If it is 0,
	// the cluster is not governed.
	Guests int
}

// DefaultPlan returns the plan for a seed.
func DefaultPlan(seed uint64) Plan {
	return Plan{
		Traffic: traffic.Config{
			Seed: seed, Keys: 4, Subscribers: 4, Watchers: 2, Publishers: 4, Readers: 4,
			Pause: 400 * time.Millisecond, MaxContent: 2000, Restarts: true, Patience: 2 * time.Second,
		},
		Lasts: time.Minute,
		Delay: 2 * time.Millisecond,
		Gap:   4 * time.Second,
		Faults: []func(*World) []fault.Fault{
			func(w *World) []fault.Fault { return append(w.NetworkFaults(longest), w.swizzle(5*time.Second)) },
			func(w *World) []fault.Fault { return w.NodeFaults() },
		},
	}
}

// World is the simulated cluster of one run.
type World struct {
	*cluster.Cluster
	Nodes []*cluster.Node
	Store *memstore.Store
	Gates []*cluster.Gate
	Delay time.Duration
	Cast  *rights.Cast // of a governed cluster, or nil
}

// NewWorld starts a cluster in the caller's bubble. The options are for the storage and for the
// nodes' copies.
func NewWorld(clients int, delay time.Duration, opts ...memstore.Option) (*World, error) {
	return newWorldOn(memstore.New(opts...), nil, clients, delay, opts...)
}

// newWorldOn is [NewWorld] on a store, which is governed if there is a cast.
func newWorldOn(store *memstore.Store, cast *rights.Cast, clients int, delay time.Duration, opts ...memstore.Option) (*World, error) {
	w := &World{Store: store, Delay: delay, Cast: cast}
	network := proxy.NewMemory()
	var members []cluster.Member
	for number := range nodes {
		gate := cluster.NewGate(store)
		gate.Set(cluster.Storms{Delay: delay})
		w.Gates = append(w.Gates, gate)
		node := &cluster.Node{Network: network, Open: func() (diamond.Storage, func() error, error) {
			return gate, func() error { return nil }, nil
		}}
		if cast != nil {
			node.Wrap = func(srv diamond.Server) (diamond.Server, error) { return govern.New(srv) }
		}
		node.Committed = func(p diamond.Position) { w.gossip(number, p) }
		local := memstore.New(opts...) // survives restarts of the node, like a disk
		node.ServerOptions = func() []diamond.ServerOption {
			options := []diamond.ServerOption{
				diamond.WithSelfCheck(20 * time.Second),
			}
			if number > 0 { // one node keeps no copy
				options = append(options, diamond.WithReplica(local))
			}
			return options
		}
		w.Nodes, members = append(w.Nodes, node), append(members, node)
	}
	var err error
	w.Cluster, err = cluster.New(network, members, clients)
	if err == nil {
		w.NewFiles = func(client int) diamond.LocalFiles { return cluster.NewFiles(client) }
	}
	return w, err
}

// Run runs a plan in a bubble and validates it.
func Run(t *testing.T, plan Plan) {
	t.Helper()
	var history *record.History
	var logs map[string]string
	synctest.Test(t, func(t *testing.T) {
		recorder := record.New(plan.Traffic.Seed)
		w, err := plan.world(recorder)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.run(plan, recorder); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		history, logs = recorder.History(), w.Logs()
	})
	if history != nil {
		report.Check(t, history, logs)
	}
}

// world starts the cluster of a plan.
func (p Plan) world(recorder *record.Recorder) (*World, error) {
	if p.Guests == 0 {
		return NewWorld(p.Traffic.Clients(), p.Delay)
	}
	return newGovernedWorld(p, recorder)
}

func (w *World) run(plan Plan, recorder *record.Recorder) error {
	load := traffic.Start(w, plan.Traffic, recorder)
	ctx, cancel := context.WithTimeout(context.Background(), plan.Lasts)
	defer cancel()
	changing := w.changeRights(ctx, plan)
	var failing errgroup.Group
	for i, faults := range plan.Faults {
		random := rand.New(rand.NewPCG(plan.Traffic.Seed, uint64(i)))
		failing.Go(func() error { return fault.Run(ctx, random, plan.Gap, faults(w), recorder) })
	}
	return errors.Join(failing.Wait(), w.heal(), changing(), w.judge(load, recorder, plan.Traffic.Keys))
}

// heal ends all remaining faults.
func (w *World) heal() error {
	w.Heal()
	var errs []error
	for i, g := range w.Gates {
		g.Set(cluster.Storms{Delay: w.Delay})
		errs = append(errs, w.Nodes[i].Start())
	}
	return errors.Join(errs...)
}

// judge ends the traffic and records all final states.
func (w *World) judge(load *traffic.Traffic, recorder *record.Recorder, keys int) error {
	load.Quiet()
	time.Sleep(settle)
	if w.Cast != nil { // who was denied asks again after up to a minute
		time.Sleep(time.Minute)
	}
	load.Finish()
	ctx := context.Background()
	for i := range w.Nodes {
		over := w.Direct(i)
		for k := range keys {
			recorder.Node(cluster.Held(ctx, fmt.Sprintf("node %d", i), over, traffic.Key(k)))
		}
	}
	return recorder.Dump(ctx, w.Store)
}

// gossip nudges the other nodes as unreliably as a network may: sometimes not, late, more than
// once, or with a position that nobody has committed (N11).
func (w *World) gossip(from int, p diamond.Position) {
	for i, n := range w.Nodes {
		srv := n.Server()
		if i == from || srv == nil || rand.IntN(3) == 0 {
			continue
		}
		said := p
		if rand.IntN(20) == 0 {
			said.Revision += 100
		}
		for range 1 + rand.IntN(2) {
			time.AfterFunc(rand.N(2*time.Second), func() { srv.Nudge(said) })
		}
	}
}
