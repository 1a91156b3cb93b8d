// Package tlsfile makes TLS configurations from PEM files that may be replaced while the
// program runs.
//
// A [Server] has the configuration of a listener, and a [Client] that of connections to
// servers. Both read their files again while they are used, at most once a second, and use
// what they find for new connections. While the files do not belong together, for example
// because only one of them is new, what they had before stays in use. Both log a replacement,
// and why one is not possible.
//
// Both are safe for concurrent use, start no goroutines and need no closing.
package tlsfile
