package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/rights"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// administrators is the number of clients that change rights, after those of the traffic.
const administrators = 2

// RightsPlan returns the plan for a seed of a governed cluster.
func RightsPlan(seed uint64) Plan {
	plan := DefaultPlan(seed)
	plan.Guests = 2
	return plan
}

// newGovernedWorld starts a cluster whose store is governed.
func newGovernedWorld(plan Plan, recorder *record.Recorder) (*World, error) {
	store := memstore.New()
	cast, err := rights.SetUp(context.Background(), store, plan.Guests, recorder)
	if err != nil {
		return nil, err
	}
	w, err := newWorldOn(store, cast, plan.Traffic.Clients()+administrators, plan.Delay)
	if err != nil {
		return nil, err
	}
	w.Token = func(client int) string {
		switch {
		case client < 0:
			return cast.Secret(rights.Writer)
		case client < plan.Traffic.Subscribers:
			return cast.Secret(rights.Subscriber)
		case client < plan.Traffic.Clients():
			return cast.Secret(rights.Writer)
		}
		return cast.Secret(rights.Administrator)
	}
	return w, nil
}

// changeRights changes and tries the rights in a governed cluster while faults are injected. The
// function that it returns waits for the end, at which everybody has their rights again.
func (w *World) changeRights(plan Plan) (wait func() error) {
	if w.Cast == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithTimeout(context.Background(), plan.Lasts)
	random := func(n int) *rand.Rand { return rand.New(rand.NewPCG(plan.Traffic.Seed, 1000+uint64(n))) }
	var changing errgroup.Group
	for i, change := range []func(context.Context, diamond.Client, *rand.Rand, time.Duration) error{w.Cast.Grants, w.Cast.Secrets} {
		changing.Go(func() error {
			client, err := diamond.NewClient(w.Transport(plan.Traffic.Clients() + i))
			if err != nil {
				return err
			}
			defer client.Close()
			return change(ctx, client, random(i), 2*plan.Traffic.Pause)
		})
	}
	for guest := range plan.Guests {
		for node := range w.Nodes {
			changing.Go(func() error {
				w.Cast.Try(ctx, guest, node, w.as(node), plan.Traffic.Keys, random(10+guest*len(w.Nodes)+node), plan.Traffic.Pause)
				return nil
			})
		}
	}
	return func() error {
		defer cancel()
		return changing.Wait()
	}
}

// as returns a node as guests try it.
func (w *World) as(node int) rights.Node {
	return rights.Node{
		Over: func(secret func() string) diamond.Transport { return w.DirectAs(node, secret) },
		Serving: func() (revision int64, life any, ok bool) {
			srv := w.Nodes[node].Server()
			if srv == nil {
				return 0, nil, false
			}
			return srv.Status().Position.Revision, srv, true
		},
	}
}
