package dial

import (
	"context"
	"log/slog"

	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// checked is a resolver of the program whose wrong addresses are left out. Otherwise the
// balancer would take each for a server that is down, and log nothing.
type checked struct {
	resolver transport.Resolver
	logger   *slog.Logger
	last     map[string]error // of each address of the last list; only Resolve uses it
}

// Resolve implements [transport.Resolver]. A balancer calls it from one goroutine.
func (c *checked) Resolve(ctx context.Context) (valid []string, err error) {
	addrs, err := c.resolver.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	results := make(map[string]error, len(addrs))
	var wrong error
	for _, addr := range addrs {
		if _, twice := results[addr]; twice {
			continue
		}
		result, known := c.last[addr]
		if !known {
			_, result = httptransport.New(addr)
		}
		if results[addr] = result; result == nil {
			valid = append(valid, addr)
			continue
		}
		if wrong = result; !known {
			c.logger.Warn("the resolver returned a wrong address, which is left out", "error", result)
		}
	}
	c.last = results
	if len(valid) == 0 {
		return nil, wrong
	}
	return valid, nil
}
