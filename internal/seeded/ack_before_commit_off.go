//go:build !bug_ack_before_commit

package seeded

// AckBeforeCommit is this defect: a server acknowledges a change set before it is committed.
const AckBeforeCommit = false
