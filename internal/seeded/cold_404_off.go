//go:build !bug_cold_404

package seeded

// Cold404 is this defect: a server that has not loaded anything yet says that nothing exists.
const Cold404 = false
