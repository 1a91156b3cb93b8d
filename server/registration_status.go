package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// RegistryStatus may be implemented by a [Registry]. The node's metrics and its
// /readyz then say where it is registered. A namesrv.Client implements it.
type RegistryStatus interface {
	// Registrations returns the state of each registry that was asked to hold the
	// lease, by name: nil if the registry holds it, or why not.
	Registrations() map[string]error
}

// registeredDesc describes the metric of where the node is registered.
var registeredDesc = prometheus.NewDesc("diamond_registered",
	"1 when the name server held the registration when it was asked last.", []string{"namesrv"}, nil)

// registrationStatus reports where the node is registered.
type registrationStatus struct{ status RegistryStatus }

// newRegistrationStatus returns the status of registry, or nil if registry has none.
func newRegistrationStatus(registry Registry) *registrationStatus {
	if status, ok := registry.(RegistryStatus); ok {
		return &registrationStatus{status}
	}
	return nil
}

// summary says how many registries hold the registration, and why the others do not.
func (r *registrationStatus) summary() (ok bool, text string) {
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
func (r *registrationStatus) Describe(ch chan<- *prometheus.Desc) { ch <- registeredDesc }

// Collect implements prometheus.Collector.
func (r *registrationStatus) Collect(ch chan<- prometheus.Metric) {
	for name, err := range r.status.Registrations() {
		ch <- prometheus.MustNewConstMetric(registeredDesc, prometheus.GaugeValue, boolean(err == nil), name)
	}
}
