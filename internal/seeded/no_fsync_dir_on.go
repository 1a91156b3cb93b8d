//go:build bug_no_fsync_dir

package seeded

// NoFsyncDir: see no_fsync_dir_off.go.
const NoFsyncDir = true
