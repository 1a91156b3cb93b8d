// Package original serves the protocol of the original diamond: what its clients
// send and expect, and none of the faults of its server. Keys are in the default
// namespace.
package original
