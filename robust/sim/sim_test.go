package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Seeds returns the seed in DIAMOND_SEED, or as many random ones as the test
// takes, or DIAMOND_SEEDS says.
func seeds(t *testing.T, part, whole int) (seeds []uint64) {
	if seed, err := strconv.ParseUint(os.Getenv("DIAMOND_SEED"), 10, 64); err == nil {
		return []uint64{seed}
	}
	n := part
	if os.Getenv("DIAMOND_CAMPAIGN") == "1" {
		n = whole
	}
	if said, err := strconv.Atoi(os.Getenv("DIAMOND_SEEDS")); err == nil {
		n = said
	}
	t.Logf("%d seeds of %d (DIAMOND_CAMPAIGN=1 tries all, DIAMOND_SEED=N just N)", n, whole)
	for range n {
		seeds = append(seeds, rand.Uint64())
	}
	return seeds
}

// TestChaos tries all faults.
func TestChaos(t *testing.T) {
	for _, seed := range seeds(t, 5, 2000) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { Run(t, DefaultPlan(seed)) })
	}
}
