//go:build bug_split_batch

package seeded

// SplitBatch is built in; see split_batch_off.go.
const SplitBatch = true
