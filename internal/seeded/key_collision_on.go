//go:build bug_key_collision

package seeded

// KeyCollision is built in; see key_collision_off.go.
const KeyCollision = true
