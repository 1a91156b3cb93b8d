//go:build bug_cold_404

package seeded

// Cold404: see cold_404_off.go.
const Cold404 = true
