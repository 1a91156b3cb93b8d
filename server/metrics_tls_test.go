package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/server"
)

// The metric of the certificate follows a replacement. A node without TLS has none.
func TestMetrics_CertificateExpiry(t *testing.T) {
	ca := certtest.NewAuthority(t)
	expiring := func(in time.Duration) *tls.Config {
		return trusting(ca.TLS(t, "node", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(in) }), ca.Pool())
	}
	var now trust
	now.now.Store(expiring(time.Hour))
	r := run(t, server.WithTLS(now.config()))
	client := r.tlsClient(&tls.Config{RootCAs: ca.Pool()}, true)
	metric := func() float64 {
		_, body, _, err := askTLS(client, "/metrics")
		require.NoError(t, err)
		m := regexp.MustCompile(`(?m)^diamond_certificate_expiry_seconds (\S+)$`).FindStringSubmatch(body)
		require.NotNil(t, m, body)
		value, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		return value
	}
	assert.InDelta(t, 3600, metric(), 60)
	now.now.Store(expiring(10 * time.Hour))
	assert.InDelta(t, 36000, metric(), 60)
	_, body := run(t).get("/metrics")
	assert.NotContains(t, body, "diamond_certificate_expiry_seconds")
}
