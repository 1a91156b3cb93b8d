package sim

import (
	"context"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/rights"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// RightsPlan returns the plan for a seed of a governed cluster.
func RightsPlan(seed uint64) Plan {
	plan := DefaultPlan(seed)
	plan.Guests = 2
	return plan
}

// newGovernedWorld starts a cluster whose store is governed.
func newGovernedWorld(plan Plan, recorder *record.Recorder) (*World, error) {
	store := memstore.New()
	cast, err := rights.SetUp(context.Background(), store, plan.Guests, "", recorder)
	if err != nil {
		return nil, err
	}
	w, err := newWorldOn(store, cast, plan.Traffic.Clients()+rights.Administrators, plan.Delay)
	if err != nil {
		return nil, err
	}
	w.Token = func(client int) string { return cast.Secret(cast.Of(&plan.Traffic, client)) }
	return w, nil
}

// changeRights changes and tries the rights in a governed cluster until ctx ends. The function
// that it returns waits for the end.
func (w *World) changeRights(ctx context.Context, plan Plan) (wait func() error) {
	if w.Cast == nil {
		return func() error { return nil }
	}
	var servers []rights.Node
	for node := range w.Nodes {
		servers = append(servers, w.as(node))
	}
	return w.Cast.Start(ctx, w, plan.Traffic, servers)
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
