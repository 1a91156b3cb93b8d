//go:build !bug_cold_404

package seeded

// Cold404: a server that has not loaded anything yet says that nothing exists.
const Cold404 = false
