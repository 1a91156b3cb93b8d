package transport

import (
	"context"
	"slices"
)

// Resolver finds servers. namesrv.Client is one. One for Consul or DNS takes ten lines.
type Resolver interface {
	// Resolve returns the addresses of all servers that are thought to be alive,
	// in any order, in the form that the dial function takes.
	Resolve(ctx context.Context) ([]string, error)
}

// Static returns a Resolver of addresses that never change.
func Static(addrs ...string) Resolver { return static(slices.Clone(addrs)) }

type static []string

func (s static) Resolve(context.Context) ([]string, error) { return slices.Clone(s), nil }
