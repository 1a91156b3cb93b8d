//go:build other_system

package order

var _ = gone
