//go:build bug_no_fsync_dir

package seeded

// NoFsyncDir is built in; see no_fsync_dir_off.go.
const NoFsyncDir = true
