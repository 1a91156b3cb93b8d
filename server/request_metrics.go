package server

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/transport/httptransport"
)

// requestMetrics counts requests by route, method and status. It looks up each
// child of its vectors once and keeps it: a lookup by labels costs more than serving
// a cached read.
type requestMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	notify   prometheus.Histogram

	children atomic.Pointer[map[requestKey]*requestChild] // copied on write
	mu       sync.Mutex                                   // held while children is replaced
}

// requestKey has a bounded number of values: the transport names routes and
// methods, callers do not.
type requestKey struct {
	route, method string
	status        int
}

type requestChild struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

func newRequestMetrics() *requestMetrics {
	r := &requestMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "diamond_http_requests_total", Help: "Requests by route, method and status.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "diamond_http_request_duration_seconds", Help: "Time to answer, without polls that may wait.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5},
		}, []string{"route", "method"}),
		notify: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "diamond_notify_latency_seconds", Help: "Time from the moment when the server learned of a change until it wrote the change as an answer to a poll.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}),
	}
	r.children.Store(&map[requestKey]*requestChild{})
	return r
}

func (r *requestMetrics) observe(o httptransport.Observation) {
	key := requestKey{o.Route, o.Method, o.Status}
	child := (*r.children.Load())[key]
	if child == nil {
		child = r.child(key)
	}
	child.total.Inc()
	if !o.Poll {
		child.duration.Observe(o.Duration.Seconds())
	}
	if o.Notified > 0 {
		r.notify.Observe(o.Notified.Seconds())
	}
}

func (r *requestMetrics) child(key requestKey) *requestChild {
	r.mu.Lock()
	defer r.mu.Unlock()
	if child := (*r.children.Load())[key]; child != nil {
		return child
	}
	children := maps.Clone(*r.children.Load())
	child := &requestChild{
		total:    r.total.WithLabelValues(key.route, key.method, strconv.Itoa(key.status)),
		duration: r.duration.WithLabelValues(key.route, key.method),
	}
	children[key] = child
	r.children.Store(&children)
	return child
}

// Describe implements prometheus.Collector.
func (r *requestMetrics) Describe(ch chan<- *prometheus.Desc) {
	r.total.Describe(ch)
	r.duration.Describe(ch)
	r.notify.Describe(ch)
}

// Collect implements prometheus.Collector.
func (r *requestMetrics) Collect(ch chan<- prometheus.Metric) {
	r.total.Collect(ch)
	r.duration.Collect(ch)
	r.notify.Collect(ch)
}
