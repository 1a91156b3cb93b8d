//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// report prints figures as they come, and records missed goals.
type report struct{ misses []string }

func (r *report) missed() []string { return r.misses }

// ratio prints one figure with its baseline: the medians of both, and the median and the quartiles
// of the ratios of pairs. The two runs of a pair follow each other directly, so that other load on
// the machine cancels out.
func (r *report) ratio(name, unit string, ours, bare []float64, goal goal) {
	r.against("bare", name, unit, ours, bare, goal)
}

// against is ratio with another baseline than a bare server.
func (r *report) against(base, name, unit string, ours, other []float64, goal goal) {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / other[i]
	}
	ratio := median(ratios)
	r.judge(name, fmt.Sprintf("%s %s, %s %s: ratio %.2f (%.2f to %.2f, %d pairs)",
		number(median(ours)), unit, base, number(median(other)), ratio, quantile(ratios, 0.25), quantile(ratios, 0.75), len(ratios)), ratio, goal)
}

// value prints one figure with an absolute goal.
func (r *report) value(name, unit string, v float64, goal goal) {
	r.judge(name, number(v)+" "+unit, v, goal)
}

// note prints a figure without a goal.
func (r *report) note(name, format string, args ...any) {
	fmt.Printf("  %-34s %s\n", name, fmt.Sprintf(format, args...))
}

func (r *report) judge(name, text string, v float64, goal goal) {
	verdict := "ok"
	if !goal.met(v) {
		verdict = "MISSED"
		r.misses = append(r.misses, fmt.Sprintf("%s %s", name, goal))
	}
	fmt.Printf("  %-34s %s; goal %s: %s\n", name, text, goal, verdict)
}

// goal is a limit for a figure.
type goal struct {
	least, most float64
}

func atLeast(v float64) goal { return goal{least: v, most: math.Inf(1)} }
func atMost(v float64) goal  { return goal{least: math.Inf(-1), most: v} }

func (g goal) met(v float64) bool { return v >= g.least && v <= g.most }

func (g goal) String() string {
	if math.IsInf(g.most, 1) {
		return "at least " + number(g.least)
	}
	return "at most " + number(g.most)
}

// median returns the median of values, which must not be empty.
func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

func quantile[T cmp.Ordered](values []T, share float64) T {
	s := slices.Sorted(slices.Values(values))
	return s[min(len(s)-1, int(share*float64(len(s))))]
}

// number formats v with three significant digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// machine describes the machine of the measurement.
func machine(dir string) string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	var fs syscall.Statfs_t
	disk := "unknown"
	if err := syscall.Statfs(dir, &fs); err == nil {
		disk = fmt.Sprintf("%#x", fs.Type)
		if name, ok := filesystems[int64(fs.Type)]; ok {
			disk = name
		}
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, GOMAXPROCS %d, stores on %s",
		model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.Version(), runtime.GOMAXPROCS(0), disk)
}

// filesystems has the names of file systems by their statfs(2) numbers.
var filesystems = map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs (fsync is free there)", 0x794c7630: "overlayfs"}
