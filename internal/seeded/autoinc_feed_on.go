//go:build bug_autoinc_feed

package seeded

// AutoincFeed is built in; see autoinc_feed_off.go.
const AutoincFeed = true
