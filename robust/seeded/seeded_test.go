// Package seeded shows that the tests catch the defects of internal/seeded:
// each is built in, and the test that the table names must fail.
package seeded

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/campaign"
)

// bug is a defect, and how it is found.
type bug struct {
	tag  string // of the build, after "bug_"
	dir  string // of the module, from here
	pkg  string
	test string // that must fail
}

// bugs is the track record: what is tried, one defect twice.
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

// envCount says how many of them to try, at random, or "all".
const envCount = "DIAMOND_SEEDED"

// chosen returns the defects to try.
func chosen(t *testing.T) []bug {
	all := bugs()
	said := os.Getenv(envCount)
	switch {
	case said == "all" || campaign.On():
		return all
	case said == "":
		t.Skip("each defect is a build of its own: make seeded-bugs")
	}
	n, err := strconv.Atoi(said)
	require.NoError(t, err, envCount)
	t.Logf("%d of %d tries, at random (%s=all tries all)", n, len(all), envCount)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// TestSeededBugs builds each defect in and runs the test that catches it. That
// the same test passes without is what every other run of the tests shows.
func TestSeededBugs(t *testing.T) {
	for _, b := range chosen(t) {
		t.Run(b.tag+"/"+b.test, func(t *testing.T) {
			command := []string{"test", "-count=1", "-failfast", "-timeout=1h", "-tags=bug_" + b.tag, "-run=^" + b.test + "$", b.pkg}
			cmd := exec.CommandContext(t.Context(), "go", command...)
			cmd.Dir = b.dir
			// Chaos tries so many seeds until one finds the defect.
			cmd.Env = append(os.Environ(), "DIAMOND_SEEDS=40", "DIAMOND_REPORTS="+t.TempDir())
			out, err := cmd.CombinedOutput()
			assert.Error(t, err, "go %s passes: nothing catches the defect", strings.Join(command, " "))
			require.Contains(t, string(out), "--- FAIL: "+b.test, "it must be the test that fails:\n%s", out)
		})
	}
}

// Every defect is in the table, and in the track record of the README.
func TestTheTrackRecordIsWhole(t *testing.T) {
	record, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	known := make(map[string]bool)
	for _, b := range bugs() {
		known[b.tag] = true
		assert.Contains(t, string(record), "| `bug_"+b.tag+"` |")
	}
	files, err := filepath.Glob("../../internal/seeded/*_on.go")
	require.NoError(t, err)
	assert.Len(t, files, len(known))
	for _, file := range files {
		assert.Contains(t, known, strings.TrimSuffix(filepath.Base(file), "_on.go"))
	}
}
