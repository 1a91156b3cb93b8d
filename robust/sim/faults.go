package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
)

// longest is the longest duration of most faults.
const longest = 10 * time.Second

// NodeFaults returns the faults of nodes and of their access to the storage.
func (w *World) NodeFaults() []fault.Fault {
	return []fault.Fault{
		w.storm("storage down for a node", cluster.Storms{Down: true}),
		w.storm("storage hangs for a node", cluster.Storms{Hung: true}),
		w.storm("storage's answers are lost for a node", cluster.Storms{Deaf: true}),
		w.storm("storage slow for a node", cluster.Storms{Delay: 3 * time.Second}),
		w.outage(),
		w.restart("restart a node", false),
		w.restart("crash a node", true),
		w.pause(),
	}
}

func (w *World) storm(name string, s cluster.Storms) fault.Fault {
	var gate *cluster.Gate
	return fault.Lasting(name, longest, func(random *rand.Rand) error {
		gate = w.Gates[random.IntN(len(w.Gates))]
		gate.Set(s)
		return nil
	}, func(*rand.Rand) error {
		gate.Set(cluster.Storms{Delay: w.Delay})
		return nil
	})
}

// outage makes the storage unavailable for all nodes.
func (w *World) outage() fault.Fault {
	set := func(s cluster.Storms) func(*rand.Rand) error {
		return func(*rand.Rand) error {
			for _, g := range w.Gates {
				g.Set(s)
			}
			return nil
		}
	}
	return fault.Lasting("storage down", longest, set(cluster.Storms{Down: true}), set(cluster.Storms{Delay: w.Delay}))
}

// restart stops and restarts a node. After a crash no answer of the node arrives, and the
// storage does not notice it either.
func (w *World) restart(name string, crash bool) fault.Fault {
	return fault.Func(name, func(ctx context.Context, random *rand.Rand) error {
		i := random.IntN(len(w.Nodes))
		if crash {
			w.To(i, func(p *proxy.Proxy) { p.Set(proxy.Conditions{Refuse: true}); p.Cut() })
			w.Gates[i].Set(cluster.Storms{Down: true})
		}
		err := w.Nodes[i].Stop()
		fault.Sleep(ctx, fault.Some(random, longest/2))
		w.To(i, func(p *proxy.Proxy) { p.Set(proxy.Conditions{}) })
		if random.IntN(3) == 0 { // the node comes back before its storage
			w.Gates[i].Set(cluster.Storms{Down: true})
			err = errors.Join(err, w.Nodes[i].Start())
			fault.Sleep(ctx, fault.Some(random, longest/2))
		}
		w.Gates[i].Set(cluster.Storms{Delay: w.Delay})
		return errors.Join(err, w.Nodes[i].Start())
	})
}

// pause delays everything from and to a node for a while.
func (w *World) pause() fault.Fault {
	var node int
	return fault.Lasting("pause a node", 3*longest, func(random *rand.Rand) error {
		node = random.IntN(len(w.Nodes))
		w.Gates[node].Set(cluster.Storms{Hung: true})
		w.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{StallUp: true, StallDown: true}) })
		return nil
	}, func(*rand.Rand) error {
		w.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{}) })
		w.Gates[node].Set(cluster.Storms{Delay: w.Delay})
		return nil
	})
}

// swizzle also cuts the nodes' access to the storage.
func (w *World) swizzle(step time.Duration) fault.Fault {
	var more []func(broken bool)
	for _, g := range w.Gates {
		more = append(more, func(broken bool) { g.Set(cluster.Storms{Down: broken, Delay: w.Delay}) })
	}
	return w.Swizzle(step, more...)
}
