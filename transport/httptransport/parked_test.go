package httptransport_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// manyKeys is what clients with many keys are measured with.
const manyKeys = 10_000

// originalProbe is the body of an original client's poll of many keys, each with digest.
func originalProbe(digest string) string {
	var probe strings.Builder
	for i := range manyKeys {
		fmt.Fprintf(&probe, "application-%d.yaml,DEFAULT_GROUP,%s;", i, digest)
	}
	return "Probe-Modify-Request=" + url.QueryEscape(probe.String())
}

// nativeHeld is the body of a native poll of many keys, each with digest.
func nativeHeld(digest string) string {
	revision := 0
	if digest != "" {
		revision = 1
	}
	var keys, held strings.Builder
	for i := range manyKeys {
		fmt.Fprintf(&keys, `,"application-%d.yaml"`, i)
		fmt.Fprintf(&held, `,{"key":"application-%d.yaml","revision":%d,"md5":%q}`, i, revision, digest)
	}
	return fmt.Sprintf(`{"wait":"80s","keys":[%s],"held":[%s]}`, keys.String()[1:], held.String()[1:])
}

// parking are polls that wait, without a network.
type parking struct {
	srv   diamond.Server
	h     http.Handler
	stop  context.CancelFunc
	ctx   context.Context
	ended []chan struct{}
}

func newParking(t testing.TB, opts ...httptransport.HandlerOption) *parking {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	p := &parking{srv: srv, h: httptransport.NewHandler(srv, opts...)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		p.leave()
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	return p
}

// park polls, and returns when the poll waits.
func (p *parking) park(t testing.TB, target, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(p.ctx, http.MethodPost, "http://127.0.0.1"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Long-Polling-TimeOut", "80000")
	end, was := make(chan struct{}), p.srv.Status().Waiters
	p.ended = append(p.ended, end)
	go func() {
		defer close(end)
		p.h.ServeHTTP(newRecorder(), r)
	}()
	for p.srv.Status().Waiters == was {
		select {
		case <-end:
			require.Fail(t, "it does not wait")
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// leave ends the polls.
func (p *parking) leave() {
	p.stop()
	for _, end := range p.ended {
		<-end
	}
	p.ended = nil
}

// What a poll of either protocol keeps while it waits is its digests by place in
// the set, and not its request.
func TestParkedPollsKeepDigestsAlone(t *testing.T) {
	const polls, each = 10, 32 * manyKeys
	for name, wire := range map[string]struct{ target, body string }{
		"original": {"/diamond-server/getProbeModify", originalProbe("")},
		"native":   {"/v1/poll", nativeHeld("")},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParking(t)
			p.park(t, wire.target, wire.body) // it brings the set
			before := heap()
			for range polls {
				p.park(t, wire.target, wire.body)
			}
			grown := (heap() - before) / polls
			t.Logf("%d keys: %d bytes each", manyKeys, grown)
			assert.LessOrEqual(t, grown, int64(each+100<<10))
			assert.LessOrEqual(t, httptransport.MemoryHeld(p.h), int64((polls+1)*each))
			p.leave()
			assert.Zero(t, httptransport.MemoryHeld(p.h))
		})
	}
}

// BenchmarkPark measures what a poll of 10,000 keys takes until it waits, and what it
// keeps then.
func BenchmarkPark(b *testing.B) {
	for name, wire := range map[string]struct{ target, body string }{
		"original": {"/diamond-server/getProbeModify", originalProbe("")},
		"native":   {"/v1/poll", nativeHeld("")},
	} {
		b.Run(name, func(b *testing.B) {
			p := newParking(b, httptransport.WithMemoryBudget(1<<40, 1<<40))
			p.park(b, wire.target, wire.body)
			before := heap()
			for b.Loop() {
				p.park(b, wire.target, wire.body)
			}
			b.ReportMetric(float64(heap()-before)/float64(len(p.ended)-1), "heap-bytes/poll")
		})
	}
}
