//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled reports whether points have an effect.
const Enabled = true

// points has the points that the environment names.
var points = parse(os.Getenv("DIAMOND_FAILPOINTS"))

// point is a point that the environment names.
type point struct {
	mu   sync.Mutex
	left int // hits until it acts; guarded by mu
}

func parse(s string) map[string]*point {
	points := make(map[string]*point)
	for one := range strings.SplitSeq(s, ",") {
		if one == "" {
			continue
		}
		name, action, _ := strings.Cut(one, "=")
		action, count, counted := strings.Cut(action, "@")
		n, err := 1, error(nil)
		if counted {
			n, err = strconv.Atoi(count)
		}
		if action != "kill" || err != nil || n < 1 {
			panic(fmt.Sprintf("DIAMOND_FAILPOINTS: %q is not name=kill or name=kill@N", one))
		}
		points[name] = &point{left: n}
	}
	return points
}

// Hit is called where a process may fail.
func Hit(name string) {
	p := points[name]
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left--; p.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // wait for the kill
	}
}

// wrong is the shift of this process's clock.
var wrong = offset(os.Getenv("DIAMOND_CLOCK"))

func offset(s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic("DIAMOND_CLOCK: " + err.Error())
	}
	return d
}

// Now returns the time by this process's clock, shifted by DIAMOND_CLOCK.
func Now() time.Time { return time.Now().Add(wrong) }
