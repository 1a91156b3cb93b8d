package rights

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// Administrators is the number of clients that change rights, after those of the traffic.
const Administrators = 2

// Start changes and tries the rights of a cluster until ctx ends. The function that it returns
// waits for the end, at which everybody has their rights again.
func (c *Cast) Start(ctx context.Context, target traffic.Target, config traffic.Config, servers []Node) (wait func() error) {
	random := func(n int) *rand.Rand { return rand.New(rand.NewPCG(config.Seed, 1000+uint64(n))) }
	var all errgroup.Group
	for i, change := range []func(context.Context, diamond.Client, *rand.Rand, time.Duration) error{c.Grants, c.Secrets} {
		all.Go(func() error {
			client, err := diamond.NewClient(target.Transport(config.Clients() + i))
			if err != nil {
				return err
			}
			defer client.Close()
			return change(ctx, client, random(i), 2*config.Pause)
		})
	}
	for guest := range c.guests {
		for i, server := range servers {
			all.Go(func() error {
				c.Try(ctx, guest, i, server, config.Keys, random(10+guest*len(servers)+i), config.Pause)
				return nil
			})
		}
	}
	return all.Wait
}
