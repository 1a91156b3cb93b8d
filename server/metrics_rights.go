package server

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/conf"
)

// Governed is a server that decides about rights, such as a govern.Centre. A node that hosts
// one shows what it decides in its metrics. A node that hosts another shows that it is open.
type Governed interface {
	// RightsStatus returns what the server has decided. It is safe for concurrent use, and
	// costs little even if there are many principals and namespaces.
	RightsStatus() conf.RightsStatus
}

// rightsMetrics is a collector of what a server decides about rights.
type rightsMetrics struct {
	governed Governed // nil for a server without rights
	status   func() conf.ServerStatus
}

var (
	rightsMode = prometheus.NewDesc("diamond_rights_mode",
		"How the server decides about rights: 0 open, 1 observe, 2 closed.", nil, nil)
	rightsUngoverned = prometheus.NewDesc("diamond_rights_ungoverned",
		"1 when the store is governed, and the server serves it without regard to rights.", nil, nil)
	rightsDenied = prometheus.NewDesc("diamond_denials_total",
		"Refused requests, and keys that polls were refused, by reason.", []string{"reason"}, nil)
	rightsWouldDeny = prometheus.NewDesc("diamond_would_be_denials_total",
		"What observe mode let through and closed mode would have refused, by reason.", []string{"reason"}, nil)
	rightsProofs = prometheus.NewDesc("diamond_proofs_accepted_total",
		"Requests with a valid proof of identity.", nil, nil)
	rightsRedecided = prometheus.NewDesc("diamond_polls_redecided_total",
		"Parked polls and watches that were decided again because the rights of their principal had changed.", nil, nil)
	rightsCatchUps = prometheus.NewDesc("diamond_rights_catch_ups_total",
		"Requests that waited for the newest changes, before they were refused for something unknown.", nil, nil)
	quotaUsed = prometheus.NewDesc("diamond_quota_used",
		"Keys, or bytes of contents, of a namespace that has a quota of them; of the 500 fullest.", []string{"namespace", "quota"}, nil)
	quotaLimit = prometheus.NewDesc("diamond_quota_limit",
		"Quotas of the namespaces of diamond_quota_used.", []string{"namespace", "quota"}, nil)
	tokenExpiry = prometheus.NewDesc("diamond_token_expiry_seconds",
		"Time until the first valid secret of a token expires; of the 100 tokens that are first.", []string{"token"}, nil)
	nextExpiry = prometheus.NewDesc("diamond_next_token_expiry_seconds",
		"Time until the next secret of any token expires, or +Inf.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *rightsMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		rightsMode, rightsUngoverned, rightsDenied, rightsWouldDeny, rightsProofs, rightsRedecided, rightsCatchUps,
		quotaUsed, quotaLimit, tokenExpiry, nextExpiry,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *rightsMetrics) Collect(ch chan<- prometheus.Metric) {
	emit := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	if m.governed == nil {
		emit(rightsMode, prometheus.GaugeValue, 0)
		emit(rightsUngoverned, prometheus.GaugeValue, boolean(m.status().Ungoverned))
		return
	}
	st := m.governed.RightsStatus()
	if mode, ok := map[string]float64{conf.ModeOpen: 0, conf.ModeObserve: 1, conf.ModeClosed: 2}[st.Mode]; ok {
		emit(rightsMode, prometheus.GaugeValue, mode)
	}
	emit(rightsUngoverned, prometheus.GaugeValue, 0)
	for _, reason := range conf.Denials() { // from the start, so that their first rise is seen
		emit(rightsDenied, prometheus.CounterValue, float64(st.Denied[reason]), reason)
		emit(rightsWouldDeny, prometheus.CounterValue, float64(st.WouldDeny[reason]), reason)
	}
	emit(rightsProofs, prometheus.CounterValue, float64(st.Proofs))
	emit(rightsRedecided, prometheus.CounterValue, float64(st.Redecided))
	emit(rightsCatchUps, prometheus.CounterValue, float64(st.CatchUps))
	for _, q := range st.Quotas[:min(len(st.Quotas), conf.MaxQuotaUses)] {
		emit(quotaUsed, prometheus.GaugeValue, float64(q.Used), q.Namespace, q.Quota)
		emit(quotaLimit, prometheus.GaugeValue, float64(q.Limit), q.Namespace, q.Quota)
	}
	next := math.Inf(1)
	for _, s := range st.Secrets[:min(len(st.Secrets), conf.MaxSecretExpiries)] {
		left := time.Until(s.Expires).Seconds()
		next = min(next, left)
		emit(tokenExpiry, prometheus.GaugeValue, left, s.Token)
	}
	emit(nextExpiry, prometheus.GaugeValue, next)
}
