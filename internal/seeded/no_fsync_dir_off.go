//go:build !bug_no_fsync_dir

package seeded

// NoFsyncDir is this defect: a rename is not made durable.
const NoFsyncDir = false
