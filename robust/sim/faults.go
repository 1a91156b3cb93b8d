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

// longest is how long most faults last at most.
const longest = 10 * time.Second

// NetworkFaults are what can become of the ways between clients and nodes.
func (w *World) NetworkFaults() []fault.Fault {
	return []fault.Fault{
		w.connections("cut connections", (*proxy.Proxy).Cut),
		w.connections("swallow connections", (*proxy.Proxy).Swallow),
		w.partition("partition a node from clients", proxy.Conditions{Refuse: true}, true),
		w.partition("stall what goes to a node", proxy.Conditions{StallUp: true}, false),
		w.partition("stall what a node answers", proxy.Conditions{StallDown: true}, false),
		w.partition("cut answers off", proxy.Conditions{Limit: 1500}, true),
		w.partition("slow links", proxy.Conditions{Latency: 300 * time.Millisecond, Jitter: time.Second}, false),
		w.Swizzle(5 * time.Second),
	}
}

// NodeFaults are what can become of nodes and of their ways to the storage.
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

// connections does something to some of the connections that there are.
func (w *World) connections(name string, do func(*proxy.Proxy)) fault.Fault {
	return fault.Func(name, func(_ context.Context, random *rand.Rand) error {
		for _, links := range w.Links {
			for _, link := range links {
				if random.IntN(2) == 0 {
					do(link)
				}
			}
		}
		return nil
	})
}

// partition sets the conditions of the ways of some clients to one node.
func (w *World) partition(name string, c proxy.Conditions, cut bool) fault.Fault {
	var node int
	return fault.Lasting(name, longest, func(random *rand.Rand) error {
		node = random.IntN(len(w.Nodes))
		w.To(node, func(p *proxy.Proxy) {
			if random.IntN(3) > 0 {
				p.Set(c)
				if cut {
					p.Cut()
				}
			}
		})
		return nil
	}, func(*rand.Rand) error {
		w.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{}) })
		return nil
	})
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

// outage has the storage be down for all.
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

// restart stops a node and starts it again. A crash is one after which no
// answer arrives, and which the storage does not hear of either.
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
		if random.IntN(3) == 0 { // it comes back before its storage does
			w.Gates[i].Set(cluster.Storms{Down: true})
			err = errors.Join(err, w.Nodes[i].Start())
			fault.Sleep(ctx, fault.Some(random, longest/2))
		}
		w.Gates[i].Set(cluster.Storms{Delay: w.Delay})
		return errors.Join(err, w.Nodes[i].Start())
	})
}

// pause has a node neither hear nor say anything for a while, and then all at once.
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

// Swizzle cuts a random half of all links one by one, those to the storage too,
// and heals them in another order (N16).
func (w *World) Swizzle(step time.Duration) fault.Fault {
	return fault.Func("swizzle", func(ctx context.Context, random *rand.Rand) error {
		var links []func(broken bool)
		for _, row := range w.Links {
			for _, p := range row {
				links = append(links, func(broken bool) {
					p.Set(proxy.Conditions{Refuse: broken})
					if broken {
						p.Cut()
					}
				})
			}
		}
		for _, g := range w.Gates {
			links = append(links, func(broken bool) {
				g.Set(cluster.Storms{Down: broken, Delay: w.Delay})
			})
		}
		random.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
		links = links[:len(links)/2]
		each := step / time.Duration(len(links))
		for _, set := range links {
			set(true)
			fault.Sleep(ctx, each)
		}
		random.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
		for _, set := range links {
			set(false)
			fault.Sleep(ctx, each)
		}
		return nil
	})
}
