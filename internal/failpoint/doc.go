// Package failpoint has a process fail at a named point, when it was built with
// the tag failpoint and its environment says so. Without the tag a point
// compiles to nothing.
//
// DIAMOND_FAILPOINTS=commit.before=kill@3 has the process killed when it gets to
// that point for the third time; several are separated by commas.
// DIAMOND_CLOCK=-1h has the clock by which it stamps what it stores be wrong.
package failpoint
