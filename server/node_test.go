package server_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func TestNode_Pages(t *testing.T) {
	r := run(t, server.WithHandler("/console/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})))
	r.publish(conf.NewKey("g", "a"), "x")

	for _, path := range []string{"/livez", "/healthz"} {
		res, body := r.get(path)
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Equal(t, "ok\n", body)
	}
	res, body := r.get("/readyz")
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, "ready\n", body)
	_, body = r.get("/readyz?verbose")
	assert.Contains(t, body, "[+] reads: loaded, 1 keys, revision 1\n")
	assert.Contains(t, body, "[+] storage: ok\n")

	res, body = r.get("/version")
	assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	var b server.BuildInfo
	require.NoError(t, json.Unmarshal([]byte(body), &b))
	assert.NotEmpty(t, b.GoVersion)

	res, _ = r.get("/console/x")
	assert.Equal(t, http.StatusTeapot, res.StatusCode)
	res, _ = r.get("/nothing")
	assert.Equal(t, http.StatusNotFound, res.StatusCode)
	res, err := r.client.Post("http://node/livez", "", nil)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
}

func TestNode_Metrics(t *testing.T) {
	r := run(t)
	r.publish(conf.NewKey("g", "a"), "x")
	for range 3 {
		r.get("/diamond-server/config?dataId=a&group=g")
	}
	r.get("/diamond-server/config?dataId=b&group=g")
	_, body := r.get("/metrics")
	for _, line := range []string{
		`diamond_http_requests_total{code="200",method="GET",route="/diamond-server/config"} 3`,
		`diamond_http_requests_total{code="404",method="GET",route="/diamond-server/config"} 1`,
		`diamond_http_request_duration_seconds_count{method="GET",route="/diamond-server/config"} 4`,
		`diamond_publish_total{result="committed"} 1`,
		`diamond_revision 1`, `diamond_keys 1`, `diamond_ready 1`, `diamond_store_up 1`, `diamond_longpoll_waiters 0`,
		`diamond_longpoll_responses_total{result="shutdown"} 0`, `diamond_listeners{state="in_sync"} 0`,
		`diamond_notify_latency_seconds_count 0`, `diamond_store_errors_total 0`,
	} {
		assert.Contains(t, body, line+"\n")
	}
	assert.Contains(t, body, "diamond_build_info{")
	assert.Contains(t, body, "go_goroutines ")
	assert.NotContains(t, body, `"g"`, "no label of what callers make up")
}

// Who is turned away is counted: the alert DiamondOverloaded looks at it.
func TestNode_MetricsOfWhoIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, server.WithAdmission(1, 1))
		for range 3 {
			r.get("/v1/configs")
		}
		_, body := r.get("/metrics")
		assert.Contains(t, body, `diamond_http_requests_total{code="200",method="GET",route="/v1/configs"} 1`+"\n")
		assert.Contains(t, body, `diamond_http_requests_total{code="429",method="GET",route="/v1/configs"} 2`+"\n")
		r.stop()
		r.wait()
	})
}

// The caller's registry is used for as long as the node runs, and free again after.
func TestNode_CallersRegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		t.Run("run", func(t *testing.T) {
			r := run(t, server.WithMetrics(reg))
			_, body := r.get("/metrics")
			assert.Contains(t, body, "diamond_ready 1")
			assert.NotContains(t, body, "go_goroutines")

			second, err := diamond.NewServer(memstore.New())
			require.NoError(t, err)
			assert.ErrorContains(t, server.NewNode(second, server.WithListener(memnet.Listen()), server.WithMetrics(reg)).Run(t.Context()), "metrics")
		})
	}
	families, err := reg.Gather()
	require.NoError(t, err)
	assert.Empty(t, families)
}

// Two nodes in one process know nothing of each other.
func TestNode_TwoInOneProcess(t *testing.T) {
	a, b := run(t), run(t)
	a.publish(conf.NewKey("g", "a"), "x")
	_, body := a.get("/metrics")
	assert.Contains(t, body, "diamond_revision 1\n")
	_, body = b.get("/metrics")
	assert.Contains(t, body, "diamond_revision 0\n")
}

func TestNode_CannotListen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	err = server.NewNode(srv, server.WithAddress(ln.Addr().String())).Run(t.Context())
	assert.ErrorContains(t, err, "address already in use")
}

func TestNode_AdvertisedAddress(t *testing.T) {
	for _, c := range []struct{ listen, advertise, want, err string }{
		{"127.0.0.1:0", "config.example:1210", "config.example:1210", ""},
		{"0.0.0.0:0", "", "", "advertise"},
		{"127.0.0.1:0", "config.example", "", "missing port"},
	} {
		reg := new(registry)
		ln, err := net.Listen("tcp", c.listen)
		require.NoError(t, err)
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		node := server.NewNode(srv, server.WithListener(ln), server.WithRegistry(reg, c.advertise))
		if c.err != "" {
			assert.ErrorContains(t, node.Run(t.Context()), c.err)
			assert.Empty(t, reg.seen())
			continue
		}
		r := &running{t: t, ended: make(chan error, 1)}
		ctx, stop := context.WithCancel(t.Context())
		go func() { r.ended <- node.Run(ctx) }()
		require.Eventually(t, func() bool { return len(reg.seen()) == 1 }, 30*time.Second, time.Millisecond)
		stop()
		r.wait()
		assert.Equal(t, []string{"register " + c.want, "unregister " + c.want}, reg.seen())
	}
}

// A registry that fails is asked again, without haste, and keeps nobody waiting.
func TestL11_RegistryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := &registry{err: conf.ErrUnavailable}
		r := run(t, server.WithRegistry(reg, ""))
		res, _ := r.get("/readyz")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		time.Sleep(time.Minute)
		assert.Greater(t, len(reg.seen()), 5)
		assert.Less(t, len(reg.seen()), 30)
	})
}

// Nor does one that does not take the address back.
func TestL11_RegistryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := &registry{hang: time.Minute}
		r := run(t, server.WithRegistry(reg, ""))
		synctest.Wait()
		assert.Equal(t, []string{"register 127.0.0.1:1210"}, reg.seen())
		begun := time.Now()
		r.stop()
		r.client.CloseIdleConnections()
		r.wait()
		assert.Less(t, time.Since(begun), 2*time.Second)
		time.Sleep(time.Minute) // the registry's own end
	})
}

// Header lines are bounded, and whoever sends more is told so.
func TestX19_HeaderLimit(t *testing.T) {
	r := run(t)
	for size, status := range map[int]int{
		12 << 10: http.StatusOK,
		24 << 10: http.StatusRequestHeaderFieldsTooLarge, // net/http adds 4 KiB to the limit
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://node/livez", nil)
		require.NoError(t, err)
		req.Header.Set("X-Long", strings.Repeat("x", size))
		res, err := r.client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, status, res.StatusCode, "%d bytes", size)
		assert.Equal(t, status != http.StatusOK, res.Close)
	}
}
