//go:build !bug_inplace_snapshot

package seeded

// InplaceSnapshot is this defect: a snapshot is written over the last one.
const InplaceSnapshot = false
