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

// rightsCollector is a collector of what a server decides about rights.
type rightsCollector struct {
	governed Governed // nil for a server without rights
}

// Describe implements prometheus.Collector.
func (c *rightsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- rightsMode.desc
	for i := range rightsMetrics {
		ch <- rightsMetrics[i].desc
	}
}

// Collect implements prometheus.Collector.
func (c *rightsCollector) Collect(ch chan<- prometheus.Metric) {
	collect := func(m *rightsMetric, st *conf.RightsStatus) {
		m.read(st, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
		})
	}
	if c.governed == nil {
		collect(&rightsMode, &conf.RightsStatus{Mode: conf.ModeOpen})
		return
	}
	st := c.governed.RightsStatus()
	collect(&rightsMode, &st)
	for i := range rightsMetrics {
		collect(&rightsMetrics[i], &st)
	}
}

// rightsMetric says how one metric is read from what a server decides about rights.
type rightsMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(st *conf.RightsStatus, emit func(value float64, labels ...string))
}

func ofRights(name, help string, kind prometheus.ValueType, labels []string, read func(*conf.RightsStatus, func(float64, ...string))) rightsMetric {
	return rightsMetric{prometheus.NewDesc(name, help, labels, nil), kind, read}
}

// rightsCounter is a metric that is one count.
func rightsCounter(name, help string, value func(*conf.RightsStatus) uint64) rightsMetric {
	return ofRights(name, help, prometheus.CounterValue, nil, func(st *conf.RightsStatus, emit func(float64, ...string)) { emit(float64(value(st))) })
}

// byReason is a metric of denials. It has each reason from the start, so that its first rise
// is seen.
func byReason(name, help string, counts func(*conf.RightsStatus) map[string]uint64) rightsMetric {
	return ofRights(name, help, prometheus.CounterValue, []string{"reason"}, func(st *conf.RightsStatus, emit func(float64, ...string)) {
		for _, reason := range conf.Denials() {
			emit(float64(counts(st)[reason]), reason)
		}
	})
}

// quotas is a metric of the quotas of namespaces.
func quotas(name, help string, value func(conf.QuotaUse) int64) rightsMetric {
	return ofRights(name, help, prometheus.GaugeValue, []string{"namespace", "quota"}, func(st *conf.RightsStatus, emit func(float64, ...string)) {
		for _, q := range st.Quotas[:min(len(st.Quotas), conf.MaxQuotaUses)] {
			emit(float64(value(q)), q.Namespace, q.Quota)
		}
	})
}

// documentQuotas is a metric of the quotas of documents of tenants.
func documentQuotas(name, help string, value func(conf.DocumentUse) int64) rightsMetric {
	return ofRights(name, help, prometheus.GaugeValue, []string{"tenant", "quota"}, func(st *conf.RightsStatus, emit func(float64, ...string)) {
		for _, u := range st.Documents[:min(len(st.Documents), conf.MaxQuotaUses)] {
			emit(float64(value(u)), u.Tenant, u.Quota)
		}
	})
}

// rightsMode is the metric that a server without rights has, too.
var rightsMode = ofRights("diamond_rights_mode", "How the server decides about rights: 0 open, 1 observe, 2 closed.", prometheus.GaugeValue, nil,
	func(st *conf.RightsStatus, emit func(float64, ...string)) {
		switch st.Mode {
		case conf.ModeOpen:
			emit(0)
		case conf.ModeObserve:
			emit(1)
		case conf.ModeClosed:
			emit(2)
		}
	})

// rightsMetrics is the table of the metrics of what a server decides about rights.
var rightsMetrics = []rightsMetric{
	byReason("diamond_denials_total", "Refused requests, and keys that polls were refused, by reason.",
		func(st *conf.RightsStatus) map[string]uint64 { return st.Denied }),
	byReason("diamond_would_be_denials_total", "What observe mode let through and closed mode would have refused, by reason.",
		func(st *conf.RightsStatus) map[string]uint64 { return st.WouldDeny }),
	rightsCounter("diamond_proofs_accepted_total", "Requests with a valid proof of identity.",
		func(st *conf.RightsStatus) uint64 { return st.Proofs }),
	rightsCounter("diamond_polls_redecided_total", "Parked polls and watches that were decided again because the rights of their principal had changed.",
		func(st *conf.RightsStatus) uint64 { return st.Redecided }),
	rightsCounter("diamond_rights_catch_ups_total", "Requests that waited for the newest changes, before they were refused for something unknown.",
		func(st *conf.RightsStatus) uint64 { return st.CatchUps }),
	quotas("diamond_quota_used", "Keys, or bytes of contents, of a namespace that has a quota of them; of the 500 fullest.",
		func(q conf.QuotaUse) int64 { return q.Used }),
	quotas("diamond_quota_limit", "Quotas of the namespaces of diamond_quota_used.",
		func(q conf.QuotaUse) int64 { return q.Limit }),
	documentQuotas("diamond_document_quota_used", "Documents of a tenant, or bytes of them; of the 500 fullest quotas.",
		func(u conf.DocumentUse) int64 { return u.Used }),
	documentQuotas("diamond_document_quota_limit", "The quotas of diamond_document_quota_used.",
		func(u conf.DocumentUse) int64 { return u.Limit }),
	ofRights("diamond_token_expiry_seconds", "Time until the first valid secret of a token expires; of the 100 tokens that are first.", prometheus.GaugeValue, []string{"token"},
		func(st *conf.RightsStatus, emit func(float64, ...string)) {
			for _, s := range st.Secrets[:min(len(st.Secrets), conf.MaxSecretExpiries)] {
				emit(time.Until(s.Expires).Seconds(), s.Token)
			}
		}),
	ofRights("diamond_next_token_expiry_seconds", "Time until the next secret of any token expires, or +Inf.", prometheus.GaugeValue, nil,
		func(st *conf.RightsStatus, emit func(float64, ...string)) {
			if len(st.Secrets) == 0 {
				emit(math.Inf(1))
				return
			}
			emit(time.Until(st.Secrets[0].Expires).Seconds())
		}),
}
