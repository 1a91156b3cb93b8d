//go:build !bug_apply_unordered_notify

package seeded

// ApplyUnorderedNotify: a server that is told of a change applies that one, whatever came before.
const ApplyUnorderedNotify = false
