//go:build !failpoint

package failpoint

// Enabled says whether points do anything.
const Enabled = false

// Hit is called where a process may fail. It does nothing.
func Hit(string) {}
