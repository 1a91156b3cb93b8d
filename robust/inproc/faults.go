package inproc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
)

func clientDir(parent string, client int) string {
	return filepath.Join(parent, fmt.Sprintf("client-%d", client))
}

// NodeFaults returns the faults of nodes, of their access to the database, and of the database.
// They last for up to longest.
func (w *World) NodeFaults(longest time.Duration) []fault.Fault {
	return []fault.Fault{
		w.link(longest, w.Peers, "peers cut off", proxy.Conditions{Refuse: true}, true),
		w.link(longest, w.Peers, "stall what goes to peers", proxy.Conditions{StallUp: true}, false),
		w.link(longest, w.Peers, "stall what peers answer", proxy.Conditions{StallDown: true}, false),
		w.link(longest, w.Peers, "peers fall silent", proxy.Conditions{Silent: true}, false),
		w.link(longest, w.Database.Links, "database falls silent for a node", proxy.Conditions{Silent: true}, false),
		w.link(longest, w.Database.Links, "database cut off from a node", proxy.Conditions{Refuse: true}, true),
		w.link(longest, w.Database.Links, "stall what goes to the database", proxy.Conditions{StallUp: true}, false),
		w.link(longest, w.Database.Links, "stall what the database answers", proxy.Conditions{StallDown: true}, false),
		w.link(longest, w.Database.Links, "database slow for a node", proxy.Conditions{Latency: 200 * time.Millisecond, Jitter: 300 * time.Millisecond}, false),
		w.link(longest, w.Database.Links, "reset the database's answers", proxy.Conditions{Limit: 3000}, true),
		fault.Func("cut connections to the database", func(context.Context, *rand.Rand) error {
			for _, link := range w.Database.Links {
				link.Cut()
			}
			return nil
		}),
		fault.Lasting("database killed", longest, func(*rand.Rand) error { w.Server.Kill(); return nil },
			func(*rand.Rand) error { return w.Server.Start() }),
		fault.Lasting("database paused", longest, func(*rand.Rand) error { return w.Server.Pause() },
			func(*rand.Rand) error { return w.Server.Continue() }),
		w.restart(longest),
	}
}

// NameFaults returns the faults of the links to name servers.
func (w *World) NameFaults(longest time.Duration) []fault.Fault {
	return []fault.Fault{
		w.link(longest, w.Names, "a name server falls silent", proxy.Conditions{Silent: true}, false),
		w.link(longest, w.Names, "a name server cut off", proxy.Conditions{Refuse: true}, true),
	}
}

// Swizzle cuts a random half of all links one by one, and heals them in another order (N16).
func (w *World) Swizzle(step time.Duration) fault.Fault {
	var more []func(broken bool)
	for _, link := range slices.Concat(w.Database.Links, w.Peers, w.Names) {
		more = append(more, func(broken bool) {
			link.Set(proxy.Conditions{Refuse: broken})
			if broken {
				link.Cut()
			}
		})
	}
	return w.Cluster.Swizzle(step, more...)
}

// link sets the conditions of one of links.
func (w *World) link(longest time.Duration, links []*proxy.Proxy, name string, now proxy.Conditions, cut bool) fault.Fault {
	var link *proxy.Proxy
	return fault.Lasting(name, longest, func(random *rand.Rand) error {
		link = links[random.IntN(len(links))]
		link.Set(now)
		if cut {
			link.Cut()
		}
		return nil
	}, func(*rand.Rand) error {
		link.Set(proxy.Conditions{})
		return nil
	})
}

func (w *World) restart(longest time.Duration) fault.Fault {
	return fault.Func("restart a node", func(ctx context.Context, random *rand.Rand) error {
		n := w.Nodes[random.IntN(len(w.Nodes))]
		err := n.Stop()
		fault.Sleep(ctx, fault.Some(random, longest/4))
		return errors.Join(err, n.Start())
	})
}
