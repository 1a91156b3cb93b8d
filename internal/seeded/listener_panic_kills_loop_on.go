//go:build bug_listener_panic_kills_loop

package seeded

// ListenerPanicKillsLoop: see listener_panic_kills_loop_off.go.
const ListenerPanicKillsLoop = true
