// Package e2e proves promises that no part can prove alone: real clients, real
// HTTP and real servers, with faults between them. It holds only tests.
package e2e

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// campaign returns the count that a scenario names when the whole of it is
// asked for, else a part of it, and says so.
func campaign(t testing.TB, part, whole int) int {
	if os.Getenv("DIAMOND_CAMPAIGN") == "1" {
		return whole
	}
	t.Logf("%d of %d (DIAMOND_CAMPAIGN=1 runs all)", part, whole)
	return part
}
