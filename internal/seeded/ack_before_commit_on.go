//go:build bug_ack_before_commit

package seeded

// AckBeforeCommit is built in; see ack_before_commit_off.go.
const AckBeforeCommit = true
