//go:build !bug_wallclock_feed

package seeded

// WallclockFeed is this defect: a server asks for the changes since the time of its last look, by its own clock.
const WallclockFeed = false
