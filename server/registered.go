package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// RegistryStatus is what a [Registry] may be too: then the node's metrics and its
// /readyz say where it is registered. A namesrv.Client is one.
type RegistryStatus interface {
	// Registrations returns, by the name of each registry that was asked to hold
	// the lease, nil where it does, and else why not.
	Registrations() map[string]error
}

// registeredDesc describes the metric that says where the node is registered.
var registeredDesc = prometheus.NewDesc("diamond_registered",
	"1 when the name server held the registration when it was asked last.", []string{"namesrv"}, nil)

// registered tells where the node is registered.
type registered struct{ status RegistryStatus }

// registeredBy returns what tells that of a registry, nil where nothing does.
func registeredBy(registry Registry) *registered {
	if status, ok := registry.(RegistryStatus); ok {
		return &registered{status}
	}
	return nil
}

// summary says how many hold the registration, and of those that do not, why.
func (r *registered) summary() (ok bool, text string) {
	states, held := r.status.Registrations(), 0
	var failing []string
	for _, name := range slices.Sorted(maps.Keys(states)) {
		if err := states[name]; err != nil {
			failing = append(failing, fmt.Sprintf("; %s: %s", name, oneLine(err)))
		} else {
			held++
		}
	}
	text = fmt.Sprintf("held by %d of %d name servers", held, len(states))
	return len(failing) == 0, text + strings.Join(failing, "")
}

// Describe implements prometheus.Collector.
func (r *registered) Describe(ch chan<- *prometheus.Desc) { ch <- registeredDesc }

// Collect implements prometheus.Collector.
func (r *registered) Collect(ch chan<- prometheus.Metric) {
	for name, err := range r.status.Registrations() {
		ch <- prometheus.MustNewConstMetric(registeredDesc, prometheus.GaugeValue, boolean(err == nil), name)
	}
}
