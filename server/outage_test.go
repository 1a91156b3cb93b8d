package server_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// request asks a node for something and returns the status of its answer.
func (r *running) request(method, path, content string) int {
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(content))
	require.NoError(r.t, err)
	res, err := r.client.Do(req)
	if !assert.NoError(r.t, err) {
		return 0
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	assert.NoError(r.t, err)
	return res.StatusCode
}

// line is a record of a log of JSON.
type line struct {
	Time   time.Time
	Msg    string
	Path   string
	Status int
	Others int
}

func (b *syncBuffer) lines(t *testing.T) (lines []line) {
	for dec := json.NewDecoder(strings.NewReader(b.String())); dec.More(); {
		var l line
		require.NoError(t, dec.Decode(&l))
		lines = append(lines, l)
	}
	return lines
}

// S6: while the storage is away, or hangs, and publishes keep failing, reads go
// on, and no line of the log comes more than once a second. What is left out is
// counted.
func TestS6_LogOfAnOutage(t *testing.T) {
	for name, trouble := range map[string]func(*away, bool){
		"away":  func(s *away, on bool) { s.down.Store(on) },
		"hangs": func(s *away, on bool) { s.hangs.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log syncBuffer
				logger := slog.New(slog.NewJSONHandler(&log, nil))
				store := &away{Store: memstore.New()}
				srv, err := diamond.NewServer(store, diamond.WithLogger(logger), diamond.WithLimits(100, 5))
				require.NoError(t, err)
				r := hosted(t, srv, server.WithLogger(logger))
				const path = "/v1/configs/public/DEFAULT_GROUP/a"
				require.Equal(t, http.StatusOK, r.request("PUT", path, "first"))

				trouble(store, true)
				time.Sleep(time.Second)
				begun := time.Now()
				var mu sync.Mutex
				failed := map[int]int{} // by status; guarded by mu
				publish := func() (status int) {
					status = r.request("PUT", path, "next")
					mu.Lock()
					defer mu.Unlock()
					failed[status]++
					return status
				}
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						for time.Since(begun) < time.Minute {
							publish()
							time.Sleep(250 * time.Millisecond)
						}
					})
					all.Go(func() {
						for time.Since(begun) < time.Minute {
							assert.Equal(t, http.StatusOK, r.request("GET", path, ""), "reads go on")
							time.Sleep(500 * time.Millisecond)
						}
					})
				}
				all.Wait()
				time.Sleep(2 * time.Second)
				last := publish() // its line has the number of those before it
				require.Greater(t, failed[last], 1, "else this tests nothing")
				assert.Zero(t, failed[http.StatusOK])

				told := map[int]int{} // failures that the log speaks of
				before := map[line]time.Time{}
				for _, l := range log.lines(t) {
					if strings.HasPrefix(l.Msg, "request ") {
						told[l.Status] += 1 + l.Others
					}
					kind := line{Msg: l.Msg, Path: l.Path, Status: l.Status}
					assert.GreaterOrEqual(t, l.Time.Sub(before[kind]), time.Second, "%v at %s", kind, l.Time)
					before[kind] = l.Time
				}
				assert.Len(t, told, len(failed), "of each status there is a line")
				assert.Equal(t, failed[last], told[last], "none is left out")

				trouble(store, false)
				time.Sleep(15 * time.Second)
				assert.Equal(t, http.StatusOK, r.request("PUT", path, "last"), "it recovers by itself")
				lines := len(log.lines(t))
				assert.Less(t, lines, 150, "in over a minute, of %v", failed)
				t.Logf("%d lines, of %v", lines, failed)
			})
		})
	}
}

// At debug level all are in the log.
func TestLogOfFailures_Debug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		store := &away{Store: memstore.New()}
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		r := hosted(t, srv, server.WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		store.down.Store(true)
		for range 10 {
			require.Equal(t, http.StatusServiceUnavailable, r.request("PUT", "/v1/configs/public/DEFAULT_GROUP/a", "x"))
		}
		assert.Equal(t, 10, strings.Count(log.String(), `"msg":"request failed"`))
		assert.Equal(t, 1, strings.Count(log.String(), `"level":"WARN","msg":"request failed"`))
	})
}
