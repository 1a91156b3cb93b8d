package server

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// metrics is the one collector of all metrics of a node. It counts requests as they
// happen, and reads the metrics of the server from its status when it is asked.
type metrics struct {
	*requestMetrics
	srv     diamond.Server
	refused prometheus.Counter     // connections
	others  []prometheus.Collector // refused, and the collectors of parts that not every node has
	reg     *prometheus.Registry
	handler http.Handler
	table   []statusMetric
}

func newMetrics(srv diamond.Server, peers *peers, registered *registrationStatus, reg *prometheus.Registry) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
		reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	m := &metrics{
		requestMetrics: newRequestMetrics(),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "diamond_connections_refused_total",
			Help: "Connections above the limit, of all or of their address: closed, or admitted for one answer.",
		}),
		srv:     srv,
		reg:     reg,
		handler: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
		table:   slices.Concat(statusMetrics, feedMetrics),
	}
	governed, _ := srv.(Governed)
	m.others = append(m.others, m.refused, &rightsCollector{governed})
	if peers != nil {
		m.others = append(m.others, peers)
	}
	if registered != nil {
		m.others = append(m.others, registered)
	}
	return m
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

func (m *metrics) register() error {
	if err := m.reg.Register(m); err != nil {
		return fmt.Errorf("server: metrics: %w", err)
	}
	return nil
}

// unregister frees the names for the next node on the caller's registry.
func (m *metrics) unregister() { m.reg.Unregister(m) }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.requestMetrics.Describe(ch)
	for _, other := range m.others {
		other.Describe(ch)
	}
	ch <- buildInfo
	for i := range m.table {
		ch <- m.table[i].desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.requestMetrics.Collect(ch)
	for _, other := range m.others {
		other.Collect(ch)
	}
	b := ReadBuildInfo()
	ch <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1, b.Version, b.Revision, b.GoVersion)
	st := m.srv.Status()
	for i := range m.table {
		sm := &m.table[i]
		sm.read(&st, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(sm.desc, sm.kind, value, labels...)
		})
	}
}

// buildInfo describes the one metric that is not read from the status.
var buildInfo = prometheus.NewDesc("diamond_build_info", "What the program was built from.", []string{"version", "revision", "goversion"}, nil)

// statusMetric says how one metric is read from a server's status.
type statusMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(st *conf.ServerStatus, emit func(value float64, labels ...string))
}

func gauge(name, help string, value func(*conf.ServerStatus) float64) statusMetric {
	return single(name, help, prometheus.GaugeValue, value)
}

func counter(name, help string, value func(*conf.ServerStatus) uint64) statusMetric {
	return single(name, help, prometheus.CounterValue, func(st *conf.ServerStatus) float64 { return float64(value(st)) })
}

func single(name, help string, kind prometheus.ValueType, value func(*conf.ServerStatus) float64) statusMetric {
	return statusMetric{
		desc: prometheus.NewDesc(name, help, nil, nil),
		kind: kind,
		read: func(st *conf.ServerStatus, emit func(float64, ...string)) { emit(value(st)) },
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// statusMetrics is the table of the metrics that are read from a server's status.
var statusMetrics = []statusMetric{
	gauge("diamond_ready", "1 when reads can be served.",
		func(st *conf.ServerStatus) float64 { return boolean(st.Ready) }),
	gauge("diamond_rights_ungoverned", "1 when the store is governed, and the server serves it without regard to rights.",
		func(st *conf.ServerStatus) float64 { return boolean(st.Ungoverned) }),
	gauge("diamond_draining", "1 when the server is shutting down.",
		func(st *conf.ServerStatus) float64 { return boolean(st.Draining) }),
	gauge("diamond_store_up", "0 when the storage cannot be read, or a publish to it failed within about the last minute; after a failure for lack of space, until a publish succeeds.",
		func(st *conf.ServerStatus) float64 { return boolean(st.Storage == nil) }),
	gauge("diamond_stale_seconds", "Time since the server last confirmed its state with the storage, or 0 if it is current.",
		func(st *conf.ServerStatus) float64 { return st.Stale.Seconds() }),
	gauge("diamond_revision", "Revision up to which the server has all changes.",
		func(st *conf.ServerStatus) float64 { return float64(st.Position.Revision) }),
	gauge("diamond_epoch_generation", "Generation of the store's history; it grows when history was lost.",
		func(st *conf.ServerStatus) float64 { return float64(st.Position.Epoch.Generation) }),
	gauge("diamond_keys", "Keys that have a value.",
		func(st *conf.ServerStatus) float64 { return float64(st.Keys) }),
	gauge("diamond_longpoll_waiters", "Parked polls and watches.",
		func(st *conf.ServerStatus) float64 { return float64(st.Waiters) }),
	gauge("diamond_longpoll_set_keys", "Keys of all key sets that clients poll.",
		func(st *conf.ServerStatus) float64 { return float64(st.SetKeys) }),
	gauge("diamond_publish_inflight", "Change sets being committed.",
		func(st *conf.ServerStatus) float64 { return float64(st.Inflight) }),
	gauge("diamond_cache_bytes", "Bytes of contents in memory.",
		func(st *conf.ServerStatus) float64 { return float64(st.CacheSize) }),
	counter("diamond_cache_hits_total", "Contents found in memory.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.CacheHits }),
	counter("diamond_cache_loads_total", "Contents loaded from the replica or the storage.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.CacheLoads }),
	counter("diamond_longpoll_wakeups_total", "Waiters woken by a change of one of their keys.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.Wakeups }),
	counter("diamond_store_errors_total", "Failed calls of the storage.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.StorageErrors }),
	counter("diamond_store_forks_total", "Changes of the store's epoch.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.Forks }),
	{
		desc: prometheus.NewDesc("diamond_longpoll_responses_total", "Polls by answer.", []string{"result"}, nil),
		kind: prometheus.CounterValue,
		read: func(st *conf.ServerStatus, emit func(float64, ...string)) {
			emit(float64(st.Counters.PollChanged), "changed")
			emit(float64(st.Counters.PollTimeout), "timeout")
			emit(float64(st.Counters.PollCanceled), "canceled")
			emit(float64(st.Counters.PollShed), "shed")
			emit(float64(st.Counters.PollDrained), "shutdown")
			emit(float64(st.Counters.PollResync), "resync")
			emit(float64(st.Counters.PollFailed), "failed")
		},
	},
	{
		desc: prometheus.NewDesc("diamond_publish_total", "Change sets by outcome.", []string{"result"}, nil),
		kind: prometheus.CounterValue,
		read: func(st *conf.ServerStatus, emit func(float64, ...string)) {
			emit(float64(st.Counters.Committed), "committed")
			emit(float64(st.Counters.Conflict), "conflict")
			emit(float64(st.Counters.Refused), "refused")
			emit(float64(st.Counters.Failed), "failed")
			emit(float64(st.Counters.Unknown), "unknown")
			emit(float64(st.Counters.Shed), "shed")
			emit(float64(st.Counters.Canceled), "canceled")
		},
	},
	{
		desc: prometheus.NewDesc("diamond_listeners", "Values at clients by their state, one for each client and key.", []string{"state"}, nil),
		kind: prometheus.GaugeValue,
		read: func(st *conf.ServerStatus, emit func(float64, ...string)) {
			emit(float64(st.Listeners.InSync), "in_sync")
			emit(float64(st.Listeners.Pending), "pending")
			emit(float64(st.Listeners.Rejected), "rejected")
		},
	},
}
