package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What one address may take is a setting: behind a proxy all clients have one address.
func TestX19_AddressLimitsAreSettings(t *testing.T) {
	d := standalone(t, t.TempDir(), "--address-memory", "1")
	out := d.clientWith("x", "publish", "g/small")
	assert.Equal(t, exitOK, out.code, out.stderr)
	large := writeFile(t, string(make([]byte, 4<<20)))
	out = d.client("publish", "g/large", large, "--timeout", "2s")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "overloaded")
}
