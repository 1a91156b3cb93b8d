package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/robust/validate"
)

// shown is the number of problems that a failed test prints. The report has all of them.
const shown = 10

// Check validates a run, and fails the test if it finds a problem. Then it writes a report into
// a directory below DIAMOND_REPORTS, or else below the system's directory for temporary files,
// and prints how to validate the report again. texts has the logs of the run by name.
func Check(t testing.TB, h *record.History, texts map[string]string) {
	t.Helper()
	problems := append(validate.All(h), validate.Canary(traffic.Canary(h.Seed), texts)...)
	outcomes := make(map[record.Outcome]int)
	for _, o := range h.Ops {
		outcomes[o.Outcome]++
	}
	t.Logf("seed %d: %d faults, %d calls %v, %d changes, told %d times, %d watches",
		h.Seed, len(h.Faults), len(h.Ops), outcomes, len(h.Log), len(h.Told), len(h.Watches))
	if len(h.Rights) > 0 {
		probes := make(map[record.Outcome]int)
		for _, p := range h.Probes {
			probes[p.Outcome]++
		}
		t.Logf("%d changes of rights, %d probes %v", len(h.Rights), len(h.Probes), probes)
	}
	if len(problems) == 0 {
		return
	}
	parent := os.Getenv("DIAMOND_REPORTS")
	if parent == "" {
		parent = os.TempDir()
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\ :`, r) {
			return '-'
		}
		return r
	}, t.Name())
	dir, err := os.MkdirTemp(mkdir(parent), "robust-"+name+"-")
	if err == nil {
		err = Write(dir, h, problems, texts)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d problems", h.Seed, len(problems))
	for _, p := range problems[:min(len(problems), shown)] {
		fmt.Fprintf(&b, "\n  %s", p)
	}
	fmt.Fprintf(&b, "\nthe report is in %s (written: %v); judge it again with\n  go test ./report -run TestReplay -dir=%s", dir, err, dir)
	t.Error(b.String())
}

// mkdir makes dir, and returns its absolute path.
func mkdir(dir string) string {
	_ = os.MkdirAll(dir, 0o700) // MkdirTemp fails if this does
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
