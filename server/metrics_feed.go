package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/conf"
)

// feedMetrics is the table of the metrics that are read from a server's status and that
// concern its feed, its checks and its replica.
var feedMetrics = []statusMetric{
	gauge("diamond_replication_lag_seconds", "Time since the server learned of a commit that its storage does not show yet, or 0.",
		func(st *conf.ServerStatus) float64 { return st.Lag.Seconds() }),
	gauge("diamond_feed_stalled", "1 when the storage has not shown a commit for seconds.",
		func(st *conf.ServerStatus) float64 { return boolean(st.Stalled) }),
	counter("diamond_feed_stalls_total", "Times that the storage did not show a commit for seconds.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.FeedStalls }),
	counter("diamond_feed_gaps_total", "Times that the storage showed a later change before an earlier one, or less than before.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.FeedGaps }),
	counter("diamond_self_checks_total", "Completed checks of the server against its storage.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.Checks }),
	counter("diamond_self_check_failures_total", "Checks of the server against its storage that could not be completed.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.CheckFailures }),
	counter("diamond_cache_divergence_total", "Differences that checks have found in memory, in the replica or in the storage.",
		func(st *conf.ServerStatus) uint64 { return st.Counters.Divergences }),
	gauge("diamond_divergent_keys", "Keys whose entry in the storage is not what was published, by the last check.",
		func(st *conf.ServerStatus) float64 { return float64(st.Divergent) }),
	ofReplica("diamond_replica_up", "1 when the last write of the replica succeeded.", prometheus.GaugeValue,
		func(_ *conf.ServerStatus, r *conf.ReplicaStatus) float64 { return boolean(r.Err == nil) }),
	ofReplica("diamond_replica_lag_revisions", "Revisions that are served and not yet in the replica.", prometheus.GaugeValue,
		func(st *conf.ServerStatus, r *conf.ReplicaStatus) float64 {
			return float64(max(0, st.Position.Revision-r.Position.Revision))
		}),
	ofReplica("diamond_replica_errors_total", "Failed attempts to write the replica.", prometheus.CounterValue,
		func(_ *conf.ServerStatus, r *conf.ReplicaStatus) float64 { return float64(r.Failures) }),
	ofReplica("diamond_replica_installs_total", "Times that the replica was rebuilt.", prometheus.CounterValue,
		func(_ *conf.ServerStatus, r *conf.ReplicaStatus) float64 { return float64(r.Installs) }),
}

// ofReplica returns a metric that only a server with a replica has.
func ofReplica(name, help string, kind prometheus.ValueType, value func(*conf.ServerStatus, *conf.ReplicaStatus) float64) statusMetric {
	return statusMetric{
		desc: prometheus.NewDesc(name, help, nil, nil),
		kind: kind,
		read: func(st *conf.ServerStatus, emit func(float64, ...string)) {
			if st.Replica != nil {
				emit(value(st, st.Replica))
			}
		},
	}
}
