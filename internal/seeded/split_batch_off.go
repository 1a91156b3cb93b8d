//go:build !bug_split_batch

package seeded

// SplitBatch is this defect: a watch gets a change set in pieces.
const SplitBatch = false
