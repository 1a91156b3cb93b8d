//go:build bug_cold_404

package seeded

// Cold404 is built in; see cold_404_off.go.
const Cold404 = true
