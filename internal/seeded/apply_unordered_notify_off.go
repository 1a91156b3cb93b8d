//go:build !bug_apply_unordered_notify

package seeded

// ApplyUnorderedNotify is this defect: a server that is told of a change applies that one, whatever came before.
const ApplyUnorderedNotify = false
