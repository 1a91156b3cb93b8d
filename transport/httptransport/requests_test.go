package httptransport_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// One address cannot take all places of requests, such as by polls that wait: those
// above its share are told to come back, in the shape of their route, and those of
// others come in.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	c := protocoltest.New(t, httptransport.WithRequestLimits(8, 3))
	at := c.Publish(protocoltest.Key("app.yaml"), "x")
	var polls []chan int
	poll := func(address string) {
		body := fmt.Sprintf(`{"keys":["app.yaml"],"position":%q,"wait":"60s"}`, at)
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/poll", strings.NewReader(body))
		r.RemoteAddr = address
		end := make(chan int, 1)
		polls = append(polls, end)
		go func() {
			w := newRecorder()
			c.H.ServeHTTP(w, r)
			end <- w.Code
		}()
		c.Parked(len(polls))
	}
	for i := range 3 {
		poll(fmt.Sprintf("127.0.0.2:%d", i))
	}
	for _, target := range []string{one, "/v1/poll", "/v1/position", "/v1/typo", "/diamond-server/config?dataId=app.yaml"} {
		w := askFrom(c.H, "127.0.0.2:9", target)
		assert.Equal(t, http.StatusTooManyRequests, w.Code, target)
		assert.NotEmpty(t, w.Header().Get("Retry-After"), target)
		assert.Equal(t, strings.HasPrefix(target, "/v1/"), w.Header().Get("Diamond-Error") == "overloaded", target)
	}
	assert.Equal(t, http.StatusOK, askFrom(c.H, "127.0.0.3:1", one).Code)
	poll("127.0.0.3:1")
	poll("127.0.0.3:2")
	assert.Equal(t, http.StatusTooManyRequests, askFrom(c.H, "127.0.0.3:3", one).Code, "it has as many as are left")
	assert.Equal(t, http.StatusOK, askFrom(c.H, "127.0.0.4:1", one).Code)
	c.Publish(protocoltest.Key("app.yaml"), "y")
	for _, end := range polls {
		assert.Equal(t, http.StatusOK, <-end)
	}
	require.Eventually(t, func() bool { return askFrom(c.H, "127.0.0.2:9", one).Code == http.StatusOK }, protocoltest.Patience, protocoltest.Tick)
}

// A list has as many elements as it may, and no more.
func TestListsHaveTheirBound(t *testing.T) {
	list := func(n int) error {
		_, err := httptransport.DecodePoll([]byte(`{"keys":[` + strings.Repeat(`"a",`, n-1) + `"a"]}`))
		return err
	}
	require.NoError(t, list(conf.MaxPollKeys))
	require.ErrorIs(t, list(conf.MaxPollKeys+1), conf.ErrTooLarge)
}

func TestWithObserver_NilObservesNothing(t *testing.T) {
	c := protocoltest.New(t, httptransport.WithObserver(nil))
	assert.Equal(t, 404, c.Ask("GET", "/v1/configs/public/g/k", "").Code)
}
