//go:build bug_listener_panic_kills_loop

package seeded

// ListenerPanicKillsLoop is built in; see listener_panic_kills_loop_off.go.
const ListenerPanicKillsLoop = true
