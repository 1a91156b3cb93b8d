// Package clienttest has what tests of clients need: a server in memory that misbehaves
// when told to, local files in memory, and a listener that records its calls.
package clienttest
