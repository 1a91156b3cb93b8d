//go:build !bug_inplace_snapshot

package seeded

// InplaceSnapshot: a snapshot is written over the last one.
const InplaceSnapshot = false
