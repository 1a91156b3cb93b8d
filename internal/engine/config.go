package engine

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// The maximum numbers of keys in the key sets that clients poll, unless a [Config] sets
// others.
const (
	DefaultSetKeys        = 4 << 20   // all together
	DefaultAddressSetKeys = 128 << 10 // those that one address sent
)

// Config says how a [Server] works. [DefaultConfig] returns the defaults.
type Config struct {
	Logger        *slog.Logger
	MaxContent    int64 // bytes of one content
	CacheBytes    int64 // of content in memory
	FeedInterval  time.Duration
	CheckInterval time.Duration
	MaxWaiters    int // parked polls and watches
	MaxInflight   int // commits

	MaxSetKeys, AddressSetKeys int64

	Replica ReplicaStorage // or nil if none is kept

	Ungoverned bool // the public door of a governed store is open; see [Marker]
}

// DefaultConfig returns a Config with the defaults.
func DefaultConfig() Config {
	return Config{
		Logger:        slog.New(slog.DiscardHandler),
		MaxContent:    conf.DefaultMaxContent,
		CacheBytes:    256 << 20,
		FeedInterval:  500 * time.Millisecond,
		CheckInterval: 5 * time.Minute,
		MaxWaiters:    100_000,
		MaxInflight:   1024,

		MaxSetKeys:     DefaultSetKeys,
		AddressSetKeys: DefaultAddressSetKeys,
	}
}

// validate reports everything that is wrong with c.
func (c *Config) validate() error {
	var problems []string
	if c.Logger == nil {
		problems = append(problems, "logger: is nil")
	}
	positive := func(name string, n int64) {
		if n <= 0 {
			problems = append(problems, fmt.Sprintf("%s: %d, less than 1", name, n))
		}
	}
	positive("max content", c.MaxContent)
	positive("cache bytes", c.CacheBytes)
	positive("feed interval", int64(c.FeedInterval))
	positive("check interval", int64(c.CheckInterval))
	positive("limit of waiters", int64(c.MaxWaiters))
	positive("limit of commits in flight", int64(c.MaxInflight))
	positive("limit of keys in sets", c.MaxSetKeys)
	positive("limit of keys in sets from one address", c.AddressSetKeys)
	if len(problems) > 0 {
		return conf.Invalidf("%s", strings.Join(problems, "; "))
	}
	return nil
}
