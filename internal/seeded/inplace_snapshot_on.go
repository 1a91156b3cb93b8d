//go:build bug_inplace_snapshot

package seeded

// InplaceSnapshot is built in; see inplace_snapshot_off.go.
const InplaceSnapshot = true
