// Package campaign is the one switch between tests that run a part of a
// scenario, as they do by default, and those that run the whole of it:
// DIAMOND_CAMPAIGN=1, which is what make campaign sets.
package campaign

import (
	"os"
	"testing"
)

// On reports whether scenarios run whole.
func On() bool { return os.Getenv("DIAMOND_CAMPAIGN") == "1" }

// Scale returns whole, the count that a scenario names, in a campaign, else the
// part of it that runs by default, and logs which.
func Scale(t testing.TB, part, whole int) int {
	t.Helper()
	if On() {
		part = whole
	}
	t.Logf("running %d of %d", part, whole)
	return part
}
