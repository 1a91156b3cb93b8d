// Package failpoint makes a process fail at a named point, if the process was built with the
// tag failpoint and its environment says so. Without the tag a point compiles to nothing.
//
// DIAMOND_FAILPOINTS=commit.before=kill@3 kills the process when it reaches that point for
// the third time. Several points are separated by commas. DIAMOND_CLOCK=-1h shifts the clock
// that a process uses for stored times.
package failpoint
