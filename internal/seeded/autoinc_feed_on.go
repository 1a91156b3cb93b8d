//go:build bug_autoinc_feed

package seeded

// AutoincFeed: see autoinc_feed_off.go.
const AutoincFeed = true
