package inproc

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/linnaname/gdiamond/internal/campaign"
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

// One of the servers is silent to clients from the start, and name servers fall
// silent too: connections open, and nothing ever comes back on them.
func TestN6_MuteServerFromTheStart(t *testing.T) {
	t.Parallel()
	traffic := DefaultTraffic(seed(t))
	w := NewWorldWithNames(t, mariadbtest.Database(t), traffic.Clients())
	w.Mute(int(traffic.Seed % nodes))
	w.Run(t, Plan{
		Traffic: traffic, Lasts: 20 * time.Second, Gap: 2 * time.Second,
		Faults: [][]fault.Fault{w.NetworkFaults(3 * time.Second), w.NameFaults(4 * time.Second)},
	})
}

// N16: a random half of all ways, those between clients, servers, name servers
// and the database, is cut one by one over 5 s, and healed in another order.
func TestN16_SwizzleClog(t *testing.T) {
	t.Parallel()
	runs := 1
	if os.Getenv("DIAMOND_SEED") == "" {
		runs = campaign.Scale(t, 2, 20)
	}
	for range runs {
		traffic := DefaultTraffic(seed(t))
		t.Run(fmt.Sprint(traffic.Seed), func(t *testing.T) {
			t.Parallel()
			w := NewWorldWithNames(t, mariadbtest.Database(t), traffic.Clients())
			w.Run(t, Plan{ // there is the time for one whole swizzle, and for a part of the next
				Traffic: traffic, Lasts: 15 * time.Second, Gap: time.Second,
				Faults: [][]fault.Fault{{w.Swizzle(5 * time.Second)}},
			})
		})
	}
}
