package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/dial"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newCentre runs a node on the embedded store and returns two clients of it over HTTP: one for
// the service, and one for publishing.
func newCentre(t *testing.T) (service, operator diamond.Client) {
	store, err := boltstore.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stopped := make(chan error)
	go func() { stopped <- server.NewNode(srv, server.WithListener(listener)).Run(t.Context()) }()
	t.Cleanup(func() { assert.NoError(t, <-stopped) })
	client := func() diamond.Client {
		c, err := dial.Servers(listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, c.Close()) })
		return c
	}
	return client(), client()
}

type seen struct {
	Limits struct {
		RateLimit int
		LogLevel  string
	}
	Revision int64
}

func config(t *testing.T, url string) (s seen) {
	res, err := http.Get(url + "/config")
	require.NoError(t, err)
	defer res.Body.Close()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&s))
	return s
}

// TestLiveChangeUnderLoad publishes the example configuration and changes it thirty times under
// continuous requests. Each change takes effect, and no request fails.
func TestLiveChangeUnderLoad(t *testing.T) {
	service, operator := newCentre(t)
	key := diamond.NewKey("payment", "limits.yaml")
	first, err := os.ReadFile("../configs/payment/limits.yaml")
	require.NoError(t, err)
	_, err = operator.Publish(t.Context(), diamond.Draft{Key: key, Content: string(first)})
	require.NoError(t, err)

	// Otherwise the service would start with its default on a slow machine.
	require.Eventually(t, func() bool { _, err := service.Get(t.Context(), key); return err == nil }, 60*time.Second, 5*time.Millisecond)

	var level slog.LevelVar
	handler, err := newHandler(t.Context(), service, slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: &level})), &level)
	require.NoError(t, err)
	web := httptest.NewServer(handler)
	defer web.Close()
	require.Equal(t, 5000, config(t, web.URL).Limits.RateLimit)

	var wg sync.WaitGroup
	var requests, failed, withNew atomic.Int64
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				requests.Add(1)
				res, err := http.Get(web.URL + "/order")
				if err != nil || res.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					var order struct {
						NewCheckout bool `json:"new_checkout"`
					}
					if json.NewDecoder(res.Body).Decode(&order) == nil && order.NewCheckout {
						withNew.Add(1)
					}
					res.Body.Close()
				}
			}
		})
	}

	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	for i := range 30 {
		limit, lv := 5000+i, levels[i%len(levels)]
		_, err := operator.Publish(t.Context(), diamond.Draft{Key: key, Content: fmt.Sprintf(
			"rate_limit: %d\nburst: 500\nlog_level: %s\nfeatures: {new_checkout: %v}\n", limit, lv, i%2 == 0)})
		require.NoError(t, err)
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			assert.Equal(c, limit, config(t, web.URL).Limits.RateLimit)
			assert.Equal(c, lv, level.Level())
		}, 60*time.Second, 5*time.Millisecond)
	}
	close(stop)
	wg.Wait()
	assert.Zero(t, failed.Load(), "of %d requests", requests.Load())
	assert.Positive(t, withNew.Load(), "the feature switch was seen on")
	assert.Less(t, withNew.Load(), requests.Load(), "and off")

	// An invalid value changes nothing.
	bad, err := operator.Publish(t.Context(), diamond.Draft{Key: key, Content: "rate_limit: 0\n"})
	require.NoError(t, err)
	_, err = operator.Publish(t.Context(), diamond.Draft{Key: key, Content: "rate_limit: 1\nburst: 1\n"})
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		now := config(t, web.URL)
		assert.NotEqual(t, bad.Revision, now.Revision, "the refused one is never in force")
		assert.Equal(c, 1, now.Limits.RateLimit)
	}, 60*time.Second, 5*time.Millisecond)

	// And the limit is a limit.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		res, err := http.Get(web.URL + "/order")
		if assert.NoError(c, err) {
			res.Body.Close()
			assert.Equal(c, http.StatusTooManyRequests, res.StatusCode)
		}
	}, 60*time.Second, time.Millisecond)
}

// TestDefaultsUntilPublished starts the service before its configuration is published.
func TestDefaultsUntilPublished(t *testing.T) {
	service, operator := newCentre(t)
	var level slog.LevelVar
	handler, err := newHandler(t.Context(), service, slog.New(slog.DiscardHandler), &level)
	require.NoError(t, err)
	web := httptest.NewServer(handler)
	defer web.Close()
	require.Equal(t, 100, config(t, web.URL).Limits.RateLimit)

	_, err = operator.Publish(t.Context(), diamond.Draft{Key: diamond.NewKey("payment", "limits.yaml"), Content: "rate_limit: 7\n"})
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, 7, config(t, web.URL).Limits.RateLimit)
	}, 60*time.Second, 5*time.Millisecond)
}

// TestRun starts the whole service without a reachable configuration server, and stops it
// gracefully.
func TestRun(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, ln, "127.0.0.1:1", t.TempDir()) }()

	require.Equal(t, 100, config(t, "http://"+ln.Addr().String()).Limits.RateLimit)
	stop()
	require.NoError(t, <-ended)
	_, err = http.Get("http://" + ln.Addr().String() + "/order")
	require.Error(t, err)
}
