//go:build bug_wallclock_feed

package seeded

// WallclockFeed is built in; see wallclock_feed_off.go.
const WallclockFeed = true
