//go:build bug_apply_unordered_notify

package seeded

// ApplyUnorderedNotify is built in; see apply_unordered_notify_off.go.
const ApplyUnorderedNotify = true
