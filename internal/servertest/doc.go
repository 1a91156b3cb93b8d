// Package servertest helps to test servers. It has a server whose methods fail the test,
// and storages that misbehave.
package servertest
