package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Counting a request must cost next to nothing, or it shows in the rate of reads.
func TestObserve_AllocatesNothing(t *testing.T) {
	r := newRequestMetrics()
	o := httptransport.Observation{Route: "/v1/configs/{key}", Method: "GET", Status: 200, Duration: time.Millisecond, Notified: time.Millisecond}
	r.observe(o)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { r.observe(o) }))
}

func BenchmarkObserve(b *testing.B) {
	r := newRequestMetrics()
	o := httptransport.Observation{Route: "/v1/configs/{key}", Method: "GET", Status: 200, Duration: time.Millisecond}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.observe(o)
		}
	})
}
