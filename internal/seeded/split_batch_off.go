//go:build !bug_split_batch

package seeded

// SplitBatch: a watch gets a change set in pieces.
const SplitBatch = false
