//go:build !race

package httptransport_test

const poolsLeak = false
