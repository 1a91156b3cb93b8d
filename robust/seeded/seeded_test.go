// Package seeded shows that the tests catch the defects of internal/seeded:
// each is built in, and the test that the table names must fail.
package seeded

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bug is a defect, and how it is found.
type bug struct {
	tag  string // of the build, after "bug_"
	dir  string // of the module, from here
	pkg  string
	test string // that must fail
}

// bugs is the track record.
func bugs() []bug {
	const library, robust = "../..", ".."
	return []bug{
		{"autoinc_feed", library, "./storage/memstore", "TestStorage"},
		{"autoinc_feed", robust, "./sim", "TestChaos"},
		{"wallclock_feed", robust, "./sim", "TestChaos"},
		{"check_then_register", library, ".", "TestC6_LostWakeUp"},
		{"md5_only_compare", robust, "./sim", "TestChaos"},
		{"inplace_snapshot", library, "./internal/atomicfile", "TestD3_TornWriteAtEverySyscall"},
		{"no_fsync_dir", library, "./internal/atomicfile", "TestD3_TornWriteAtEverySyscall"},
		{"cold_404", robust, "./sim", "TestC10_ColdServer"},
		{"apply_unordered_notify", robust, "./sim", "TestChaos"},
		{"listener_panic_kills_loop", library, ".", "TestC1_ListenerPanics"},
		{"key_collision", library, "./localfile", "TestX12_DistinctNames"},
		{"split_batch", robust, "./sim", "TestChaos"},
		{"ack_before_commit", robust, "./sim", "TestChaos"},
	}
}

// TestSeededBugs builds each defect in and runs the test that catches it. That
// the same test passes without is what every other run of the tests shows.
func TestSeededBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("each defect is a build of its own")
	}
	for _, b := range bugs() {
		t.Run(b.tag+"/"+b.test, func(t *testing.T) {
			command := []string{"test", "-count=1", "-failfast", "-timeout=5m", "-tags=bug_" + b.tag, "-run=^" + b.test + "$", b.pkg}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "go", command...)
			cmd.Dir = b.dir
			// Chaos tries so many seeds until one finds the defect.
			cmd.Env = append(os.Environ(), "DIAMOND_SEEDS=40", "DIAMOND_REPORTS="+t.TempDir())
			out, err := cmd.CombinedOutput()
			assert.Error(t, err, "go %s passes: nothing catches the defect", strings.Join(command, " "))
			require.Contains(t, string(out), "--- FAIL: "+b.test, "it must be the test that fails:\n%s", out)
		})
	}
}
