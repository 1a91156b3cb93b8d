// Package servertest has what tests of servers need: a server on a storage with methods
// that fail the test, and storages that misbehave.
package servertest
