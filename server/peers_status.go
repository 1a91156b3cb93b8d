package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/linnaname/gdiamond/conf"
)

// peerCounts counts nudges by their results.
type peerCounts struct {
	out, in *prometheus.CounterVec
}

func newPeerCounts() *peerCounts {
	c := &peerCounts{
		out: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "diamond_peer_nudges_total", Help: "Nudges to other servers by result; after a lost one the other server sees the commit at its next feed interval.",
		}, []string{"result"}),
		in: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "diamond_peer_nudges_received_total", Help: "Received nudges by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{"delivered", "self", "denied", "failed"} {
		c.out.WithLabelValues(result)
	}
	for _, result := range []string{"accepted", "denied", "invalid"} {
		c.in.WithLabelValues(result)
	}
	return c
}

func (c *peerCounts) sent(self bool, err error) {
	result := "delivered"
	switch {
	case errors.Is(err, conf.ErrDenied):
		result = "denied"
	case err != nil:
		result = "failed"
	case self:
		result = "self"
	}
	c.out.WithLabelValues(result).Inc()
}

func (c *peerCounts) received(err error) {
	result := "accepted"
	switch {
	case errors.Is(err, conf.ErrDenied), errors.Is(err, conf.ErrOverloaded):
		result = "denied"
	case err != nil:
		result = "invalid"
	}
	c.in.WithLabelValues(result).Inc()
}

// membersDesc describes the metric that counts peers.
var membersDesc = prometheus.NewDesc("diamond_cluster_members",
	"Other servers that are listed, by whether they took the last nudge.", []string{"state"}, nil)

// peerSummary is the state of a node's peers.
type peerSummary struct {
	up, down, unknown int
	unresolved        error
	failing           []string // the first few peers that are down, with their errors
}

// maxFailing is the maximum number of failing peers that a summary names.
const maxFailing = 5

func (p *peers) summary() peerSummary {
	p.mu.Lock()
	members, s := maps.Clone(p.members), peerSummary{unresolved: p.unresolved}
	p.mu.Unlock()
	for _, addr := range slices.Sorted(maps.Keys(members)) {
		switch st := members[addr].state.Load(); {
		case st == nil:
			s.unknown++
		case st.self:
		case st.err == nil:
			s.up++
		default:
			if s.down++; s.down <= maxFailing {
				s.failing = append(s.failing, fmt.Sprintf("%s: %v", addr, st.err))
			}
		}
	}
	return s
}

// ok reports whether no peer is down and the list can be resolved.
func (s *peerSummary) ok() bool { return s.down == 0 && s.unresolved == nil }

func (s *peerSummary) String() string {
	text := fmt.Sprintf("%d of %d take nudges", s.up, s.up+s.down+s.unknown)
	if s.unresolved != nil {
		text += fmt.Sprintf("; cannot be looked up: %v", s.unresolved)
	}
	if len(s.failing) > 0 {
		text += "; " + strings.Join(s.failing, "; ")
	}
	return text
}

// Describe implements prometheus.Collector.
func (p *peers) Describe(ch chan<- *prometheus.Desc) {
	p.counts.out.Describe(ch)
	p.counts.in.Describe(ch)
	ch <- membersDesc
}

// Collect implements prometheus.Collector.
func (p *peers) Collect(ch chan<- prometheus.Metric) {
	p.counts.out.Collect(ch)
	p.counts.in.Collect(ch)
	s := p.summary()
	for state, n := range map[string]int{"up": s.up, "down": s.down, "unknown": s.unknown} {
		ch <- prometheus.MustNewConstMetric(membersDesc, prometheus.GaugeValue, float64(n), state)
	}
}
