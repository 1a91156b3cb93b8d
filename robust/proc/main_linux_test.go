package proc

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// programs is where the program under test is built.
var programs string // set by TestMain

func TestMain(m *testing.M) {
	if addr := os.Getenv(clientOf); addr != "" {
		runClient(addr)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "robust-proc-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		programs = dir
		return mariadbtest.Main(m).Run()
	}())
}

// gdiamond builds the program with failpoints, once.
var gdiamond = sync.OnceValues(func() (string, error) {
	into := filepath.Join(programs, "gdiamond")
	return into, cluster.Build(context.Background(), "../..", "./cmd/gdiamond", into, "-tags=failpoint")
})

// world starts a cluster of processes.
func world(t *testing.T, clients int, clocks ...string) *World {
	t.Helper()
	program, err := gdiamond()
	require.NoError(t, err)
	return NewWorld(t, program, clients, clocks...)
}

// L3: servers are killed and paused, links and the database fail, at random,
// for CHAOS_TIME, or 15 s, by HTTP/1.1 and by HTTP/2 through fronts that end TLS.
// Clients have the defaults that programs have. The seed is printed, and
// DIAMOND_SEED sets it.
func TestL3_Chaos(t *testing.T) {
	t.Parallel() // it waits, most of the time
	seed, err := strconv.ParseUint(os.Getenv("DIAMOND_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	lasts := 15 * time.Second
	if said := os.Getenv("CHAOS_TIME"); said != "" {
		lasts, err = time.ParseDuration(said)
		require.NoError(t, err, "CHAOS_TIME")
	}
	t.Logf("DIAMOND_SEED=%d, for %v", seed, lasts)
	config := traffic.Config{
		Seed: seed, Keys: 4, Subscribers: 4, Watchers: 2, Publishers: 3, Readers: 3,
		Pause: 200 * time.Millisecond, MaxContent: 4000, Restarts: true, Patience: 2 * time.Second,
	}
	program, err := gdiamond()
	require.NoError(t, err)
	for name, start := range map[string]func(testing.TB, string, int) *World{
		"HTTP1": NewWorldWithNames, "HTTP2": NewWorldWithFronts,
	} {
		t.Run(name, func(t *testing.T) {
			start(t, program, config.Clients()).Chaos(t, config, lasts, 5*time.Second)
		})
	}
	t.Run("Rights", func(t *testing.T) {
		recorder := record.New(config.Seed)
		NewWorldWithRights(t, program, config, recorder).ChaosOn(t, config, lasts, 5*time.Second, recorder)
	})
}
