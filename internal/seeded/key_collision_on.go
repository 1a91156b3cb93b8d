//go:build bug_key_collision

package seeded

// KeyCollision: see key_collision_off.go.
const KeyCollision = true
