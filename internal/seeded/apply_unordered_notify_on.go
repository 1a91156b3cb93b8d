//go:build bug_apply_unordered_notify

package seeded

// ApplyUnorderedNotify: see apply_unordered_notify_off.go.
const ApplyUnorderedNotify = true
