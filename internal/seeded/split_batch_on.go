//go:build bug_split_batch

package seeded

// SplitBatch: see split_batch_off.go.
const SplitBatch = true
