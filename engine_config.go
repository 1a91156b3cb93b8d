package diamond

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// How many keys the key sets that clients poll may have unless [WithSetKeys] says
// otherwise.
const (
	DefaultSetKeys        = 4 << 20   // all together
	DefaultAddressSetKeys = 128 << 10 // those that one address sent
)

// serverConfig is what the options of a server say.
type serverConfig struct {
	logger        *slog.Logger
	maxContent    int64
	cacheBytes    int64
	feedInterval  time.Duration
	checkInterval time.Duration
	maxWaiters    int
	maxInflight   int

	maxSetKeys, addressSetKeys int64

	replica ReplicaStorage // nil if none is kept
}

func defaultServerConfig() serverConfig {
	return serverConfig{
		logger:        slog.New(slog.DiscardHandler),
		maxContent:    conf.DefaultMaxContent,
		cacheBytes:    256 << 20,
		feedInterval:  500 * time.Millisecond,
		checkInterval: 5 * time.Minute,
		maxWaiters:    100_000,
		maxInflight:   1024,

		maxSetKeys:     DefaultSetKeys,
		addressSetKeys: DefaultAddressSetKeys,
	}
}

// validate reports all that is wrong with c.
func (c *serverConfig) validate() error {
	var problems []string
	if c.logger == nil {
		problems = append(problems, "logger: is nil")
	}
	positive := func(name string, n int64) {
		if n <= 0 {
			problems = append(problems, fmt.Sprintf("%s: %d, less than 1", name, n))
		}
	}
	positive("max content", c.maxContent)
	positive("cache bytes", c.cacheBytes)
	positive("feed interval", int64(c.feedInterval))
	positive("check interval", int64(c.checkInterval))
	positive("limit of waiters", int64(c.maxWaiters))
	positive("limit of commits in flight", int64(c.maxInflight))
	positive("limit of keys in sets", c.maxSetKeys)
	positive("limit of keys in sets from one address", c.addressSetKeys)
	if len(problems) > 0 {
		return conf.Invalidf("%s", strings.Join(problems, "; "))
	}
	return nil
}
