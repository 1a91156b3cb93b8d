//go:build bug_wallclock_feed

package seeded

// WallclockFeed: see wallclock_feed_off.go.
const WallclockFeed = true
