package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/linnaname/gdiamond/internal/campaign"
)

// seeds returns the seed in DIAMOND_SEED, or as many random ones as the test
// takes, or DIAMOND_SEEDS says.
func seeds(t *testing.T, part, whole int) (seeds []uint64) {
	if seed, err := strconv.ParseUint(os.Getenv("DIAMOND_SEED"), 10, 64); err == nil {
		return []uint64{seed}
	}
	n, err := strconv.Atoi(os.Getenv("DIAMOND_SEEDS"))
	if err != nil {
		n = campaign.Scale(t, part, whole)
	}
	for range n {
		seeds = append(seeds, rand.Uint64())
	}
	return seeds
}

// INV-14: rights are taken and given, and secrets revoked and rotated, while all faults are
// tried. Nobody is served who may not, nobody is refused who may, and no change is lost.
func TestChaos_Rights(t *testing.T) {
	for _, seed := range seeds(t, 2, 1000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { Run(t, RightsPlan(seed)) })
	}
}

// TestChaos tries all faults.
func TestChaos(t *testing.T) {
	for _, seed := range seeds(t, 4, 2000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { Run(t, DefaultPlan(seed)) })
	}
}
