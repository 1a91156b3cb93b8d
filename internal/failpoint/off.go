//go:build !failpoint

package failpoint

import "time"

// Enabled says whether points do anything.
const Enabled = false

// Hit is called where a process may fail. It does nothing.
func Hit(string) {}

// Now is the time by this process's clock, which the tag lets be wrong.
func Now() time.Time { return time.Now() }
