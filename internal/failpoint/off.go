//go:build !failpoint

package failpoint

import "time"

// Enabled reports whether points have an effect.
const Enabled = false

// Hit is called where a process may fail. It does nothing.
func Hit(string) {}

// Now returns the time by this process's clock, which can be shifted with the tag.
func Now() time.Time { return time.Now() }
