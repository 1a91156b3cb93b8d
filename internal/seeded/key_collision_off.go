//go:build !bug_key_collision

package seeded

// KeyCollision is this defect: file names join the parts of a key by what may be in them.
const KeyCollision = false
