//go:build race

package httptransport_test

// poolsLeak is true with the race detector: sync.Pool then drops a part of what it is
// given, and Go 1.27's JSON decoder allocates what it would take from there.
const poolsLeak = true
