package cluster

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
)

// NetworkFaults returns the faults of the links between clients and servers. Lasting faults
// take up to longest.
func (c *Cluster) NetworkFaults(longest time.Duration) []fault.Fault {
	return []fault.Fault{
		c.connections("cut connections", (*proxy.Proxy).Cut),
		c.connections("swallow connections", (*proxy.Proxy).Swallow),
		c.partition(longest, "partition a node from clients", proxy.Conditions{Refuse: true}, true),
		c.partition(longest, "stall what goes to a node", proxy.Conditions{StallUp: true}, false),
		c.partition(longest, "stall what a node answers", proxy.Conditions{StallDown: true}, false),
		c.partition(longest, "cut answers off", proxy.Conditions{Limit: 1500}, true),
		c.partition(longest, "a node falls silent", proxy.Conditions{Silent: true}, false),
		c.partition(longest, "slow links", proxy.Conditions{Latency: 300 * time.Millisecond, Jitter: time.Second}, false),
	}
}

// connections returns a fault that calls do for some of the links.
func (c *Cluster) connections(name string, do func(*proxy.Proxy)) fault.Fault {
	return fault.Func(name, func(_ context.Context, random *rand.Rand) error {
		for _, links := range c.Links {
			for _, link := range links {
				if random.IntN(2) == 0 {
					do(link)
				}
			}
		}
		return nil
	})
}

// partition returns a fault that sets the conditions of some clients' links to one node.
func (c *Cluster) partition(longest time.Duration, name string, now proxy.Conditions, cut bool) fault.Fault {
	var node int
	return fault.Lasting(name, longest, func(random *rand.Rand) error {
		node = random.IntN(len(c.Members))
		if c.mute[node].Silent {
			return nil // the node has a worse fault already
		}
		c.To(node, func(p *proxy.Proxy) {
			if random.IntN(3) > 0 {
				p.Set(now)
				if cut {
					p.Cut()
				}
			}
		})
		return nil
	}, func(*rand.Rand) error {
		c.To(node, func(p *proxy.Proxy) { p.Set(c.mute[node]) })
		return nil
	})
}

// Swizzle cuts a random half of all links one by one, and of more too, and heals
// them in another order (N16).
func (c *Cluster) Swizzle(step time.Duration, more ...func(broken bool)) fault.Fault {
	return fault.Func("swizzle", func(ctx context.Context, random *rand.Rand) error {
		links := slices.Clone(more)
		for _, row := range c.Links {
			for _, p := range row {
				links = append(links, func(broken bool) {
					p.Set(proxy.Conditions{Refuse: broken})
					if broken {
						p.Cut()
					}
				})
			}
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
