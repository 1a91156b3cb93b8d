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
	now := c.config
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
		return
	}
	leaf, err := x509.ParseCertificate(now.Certificates[0].Certificate[0])
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, time.Until(leaf.NotAfter).Seconds())
}
