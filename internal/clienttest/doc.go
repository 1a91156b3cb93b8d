// Package clienttest helps to test clients. It has a server in memory that misbehaves when
// a test tells it to, local files in memory, and a listener that records its calls.
package clienttest
