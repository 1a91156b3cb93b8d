package inproc

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/fault"
)

func TestMain(m *testing.M) { os.Exit(mariadbtest.Main(m).Run()) }

// seed returns the one in DIAMOND_SEED, or a random one.
func seed(t testing.TB) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("DIAMOND_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("DIAMOND_SEED=%d", seed)
	return seed
}

// All faults of links, nodes and the database, against real sockets.
func TestChaos(t *testing.T) {
	t.Parallel() // it waits, most of the time
	traffic := DefaultTraffic(seed(t))
	w := NewWorld(t, traffic.Clients())
	w.Run(t, Plan{
		Traffic: traffic, Lasts: 20 * time.Second, Gap: 2 * time.Second,
		Faults: [][]fault.Fault{append(w.NetworkFaults(3*time.Second), w.Swizzle(2*time.Second)), w.NodeFaults(4 * time.Second)},
	})
}
