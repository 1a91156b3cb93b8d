//go:build bug_inplace_snapshot

package seeded

// InplaceSnapshot: see inplace_snapshot_off.go.
const InplaceSnapshot = true
