// Package seeded has the defects that systems of this kind have had, each built
// in by a build tag of its own, bug_..., and by nothing else: so that it can be
// shown that a test catches each. Without the tags they compile to nothing.
package seeded
