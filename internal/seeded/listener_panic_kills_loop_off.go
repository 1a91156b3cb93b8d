//go:build !bug_listener_panic_kills_loop

package seeded

// ListenerPanicKillsLoop is this defect: a listener that panics is not called again.
const ListenerPanicKillsLoop = false
