package main

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What one address may take is a setting: behind a proxy all clients have one address.
func TestX19_AddressLimitsAreSettings(t *testing.T) {
	d := standalone(t, t.TempDir(), "--address-memory", "1")
	out := d.clientWith("x", "publish", "g/small")
	assert.Equal(t, exitOK, out.code, out.stderr)
	large := writeFile(t, string(make([]byte, 4<<20)))
	out = d.client("publish", "g/large", large, "--timeout", "2s")
	assert.Equal(t, exitError, out.code)
	// What the command says depends on whether its last try was refused in time.
	require.Eventually(t, func() bool {
		_, metrics := httpDo(t, http.MethodGet, d.server+"/metrics")
		return regexp.MustCompile(`diamond_http_requests_total\{code="429"`).MatchString(metrics)
	}, time.Minute, 10*time.Millisecond)
}
