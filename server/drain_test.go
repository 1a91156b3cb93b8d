package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/server"
)

// poll parks a long poll for a key that holds content.
func (r *running) poll(dataID, content string) (*http.Response, error) {
	form := url.Values{"Probe-Modify-Request": {dataID + ",DEFAULT_GROUP," + conf.MD5Hex(content)}}
	req, err := http.NewRequest(http.MethodPost, "http://node/diamond-server/getProbeModify", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Long-Polling-TimeOut", "60000")
	res, err := r.client.Do(req)
	if err == nil {
		res.Body.Close()
	}
	return res, err
}

// The steps of a shutdown, in their order.
func TestL1_StepsOfAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 5 * time.Second
		reg := new(registry)
		r := run(t, server.WithRegistry(reg, ""), server.WithShutdownDelay(delay))
		r.publish(conf.NewKey("", "a"), "x")
		polled := make(chan *http.Response, 1)
		go func() {
			res, err := r.poll("a", "x")
			assert.NoError(t, err)
			polled <- res
		}()
		synctest.Wait()
		require.Equal(t, 1, r.srv.Status().Waiters)
		begun := time.Now()
		r.stop()
		synctest.Wait()

		// From the first moment on: not ready and not registered, but serving as ever.
		res, body := r.get("/readyz?verbose")
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		assert.Contains(t, body, "[-] shutting down: yes")
		assert.NotEmpty(t, res.Header.Get("Retry-After"))
		assert.Equal(t, []string{"register 127.0.0.1:1210", "unregister 127.0.0.1:1210"}, reg.seen())
		res, _ = r.get("/diamond-server/config?dataId=a&group=DEFAULT_GROUP")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.False(t, res.Close)
		assert.Empty(t, polled)

		// After the delay: parked polls are answered, and connections end with their answer.
		res = <-polled
		assert.Equal(t, http.StatusNotModified, res.StatusCode)
		assert.Equal(t, delay, time.Since(begun))
		res, body = r.get("/diamond-server/config?dataId=a&group=DEFAULT_GROUP")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Equal(t, "x", body)
		assert.True(t, res.Close)

		r.wait()
		assert.Less(t, time.Since(begun), delay+time.Second)
		_, err := r.client.Get("http://node/livez")
		assert.Error(t, err)
		_, err = r.srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a")})
		assert.ErrorIs(t, err, conf.ErrClosed)
	})
}

// Without a delay the parked polls are answered in the same moment.
func TestL1_PollsAreAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		r.publish(conf.NewKey("", "a"), "x")
		const polls = 100
		answered := make(chan time.Time, polls)
		for range polls {
			go func() {
				res, err := r.poll("a", "x")
				if assert.NoError(t, err) {
					assert.Equal(t, http.StatusNotModified, res.StatusCode)
				}
				answered <- time.Now()
			}()
		}
		synctest.Wait()
		require.Equal(t, polls, r.srv.Status().Waiters)
		begun := time.Now()
		r.stop()
		for range polls {
			assert.Equal(t, begun, <-answered)
		}
		r.wait()
		assert.Less(t, time.Since(begun), time.Second)
	})
}
