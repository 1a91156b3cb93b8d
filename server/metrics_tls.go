package server

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificateExpiry describes the metric of when the node's certificate expires.
var certificateExpiry = prometheus.NewDesc("diamond_certificate_expiry_seconds",
	"Time until the certificate of the listener for clients expires; negative after that.", nil, nil)

// certificateCollector is a collector of what the certificate in use says.
type certificateCollector struct{ config *tls.Config }

// Describe implements prometheus.Collector.
func (c *certificateCollector) Describe(ch chan<- *prometheus.Desc) { ch <- certificateExpiry }

// Collect implements prometheus.Collector. A certificate that is chosen by the name of the
// server is not known here.
func (c *certificateCollector) Collect(ch chan<- prometheus.Metric) {
	if leaf := leafOf(c.config); leaf != nil {
		ch <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, time.Until(leaf.NotAfter).Seconds())
	}
}

// leafOf returns the certificate that config, which may be nil, shows now. It returns nil if
// there is none, or if it depends on the name that a client asks for.
func leafOf(config *tls.Config) *x509.Certificate {
	now := config
	if now == nil {
		return nil
	}
	if choose := now.GetConfigForClient; choose != nil {
		// A function that looks at the connection must find one.
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		if chosen, err := choose(&tls.ClientHelloInfo{Conn: near}); err == nil && chosen != nil {
			now = chosen
		}
	}
	if len(now.Certificates) == 0 || len(now.Certificates[0].Certificate) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(now.Certificates[0].Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}
