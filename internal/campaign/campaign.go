// Package campaign is the switch between tests that run a part of a scenario, the default,
// and tests that run all of it. DIAMOND_CAMPAIGN=1, which make campaign sets, turns it on.
package campaign

import (
	"os"
	"testing"
)

// On reports whether scenarios run in full.
func On() bool { return os.Getenv("DIAMOND_CAMPAIGN") == "1" }

// Scale returns whole, the count of the scenario, in a campaign, and otherwise part, the
// default. It logs which.
func Scale(t testing.TB, part, whole int) int {
	t.Helper()
	if On() {
		part = whole
	}
	t.Logf("running %d of %d", part, whole)
	return part
}
