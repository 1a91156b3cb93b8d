package original_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// What an unmodified original client sends, byte for byte.

func originalRead(addr, dataID string, more ...string) string {
	return "GET /diamond-server/config?dataId=" + dataID + "&group=DEFAULT_GROUP HTTP/1.1\r\nHost: " + addr +
		"\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip,deflate\r\n" + strings.Join(more, "") + "\r\n"
}

func originalPublish(addr, dataID, content string) string {
	form := "content=" + url.QueryEscape(content) + "&dataId=" + dataID + "&group=DEFAULT_GROUP"
	return fmt.Sprintf("POST /diamond-server/publishConfig HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"+
		"Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"+
		"Accept-Encoding: gzip\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", addr, len(form), form)
}

func originalPoll(addr, probe string, timeout string) string {
	form := "Probe-Modify-Request=" + url.QueryEscape(probe)
	return fmt.Sprintf("POST /diamond-server/getProbeModify HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"+
		"Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n%s"+
		"Accept-Encoding: gzip\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", addr, timeout, len(form), form)
}

const sixtySeconds = "Long-Polling-TimeOut: 60000\r\n"

func TestOriginalClient_PublishAndRead(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	res, body := protocoltest.Exchange(t, addr, originalPublish(addr, "linna", "hello World"))
	assert.Equal(t, 200, res.StatusCode)
	assert.Empty(t, body)

	res, body = protocoltest.Exchange(t, addr, originalRead(addr, "linna"))
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, "hello World", body)
	assert.Equal(t, conf.MD5Hex("hello World"), res.Header.Get("Content-MD5"))
	assert.Empty(t, res.Header.Get("Content-Encoding"), "its gunzip loses the last block")
	modified, err := http.ParseTime(res.Header.Get("Last-Modified"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), modified, time.Minute)
}

func TestOriginalClient_README(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	res, _ := protocoltest.Exchange(t, addr, "POST /diamond-server/publishConfig?dataId=linna&group=DEFAULT_GROUP&content=helloWorld HTTP/1.1\r\n"+
		"Host: "+addr+"\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n")
	assert.Equal(t, 200, res.StatusCode)
	_, body := protocoltest.Exchange(t, addr, "GET /diamond-server/config?dataId=linna&group=DEFAULT_GROUP HTTP/1.1\r\nHost: "+addr+"\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n")
	assert.Equal(t, "helloWorld", body)
}

// Its lists leave the separator out after keys of one group (defects C3, L7).
func TestOriginalClient_TwoKeysGlued(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	c.Publish(protocoltest.Key("a1"), "one")
	one := conf.MD5Hex("one")
	for name, probe := range map[string]string{
		"with a digest":     "a1,DEFAULT_GROUP," + one + "b1,DEFAULT_GROUP,",
		"without":           "b1,DEFAULT_GROUP,a1,DEFAULT_GROUP," + one,
		"as meant":          "a1,DEFAULT_GROUP," + one + ";b1,DEFAULT_GROUP,;",
		"glued, then meant": "a1,DEFAULT_GROUP," + one + "b1,DEFAULT_GROUP,;z,G,;",
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan string, 1)
			go func() {
				_, body := protocoltest.Exchange(t, addr, originalPoll(addr, probe, sixtySeconds))
				told <- body
			}()
			c.Parked(1)
			c.Publish(protocoltest.Key("b1"), "news")
			assert.Equal(t, "b1%2CDEFAULT_GROUP%3B", <-told)
			_, err := c.Srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Deletes: []conf.Delete{{Key: protocoltest.Key("b1")}}}})
			require.NoError(t, err)
		})
	}
}

func TestOriginalClient_JSON(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	content := `{"a":1,"url":"http://x/?q=50%&r=a+b","s":[";","\\","é😀"]}` + "\n"
	res, _ := protocoltest.Exchange(t, addr, originalPublish(addr, "app.json", content))
	assert.Equal(t, 200, res.StatusCode)
	_, body := protocoltest.Exchange(t, addr, originalRead(addr, "app.json"))
	assert.Equal(t, content, body)
}

// Every poller of the key is told, and no other (defects L1, L2).
func TestDefect_L1_L2_AllPollersTold(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	foreign := make(chan string, 1)
	go func() {
		_, body := protocoltest.Exchange(t, addr, originalPoll(addr, "other,DEFAULT_GROUP,;", sixtySeconds))
		foreign <- body
	}()
	c.Parked(1)
	const pollers = 100
	var told sync.Map
	var all sync.WaitGroup
	for i := range pollers {
		all.Go(func() {
			_, body := protocoltest.Exchange(t, addr, originalPoll(addr, "k,DEFAULT_GROUP,;", sixtySeconds))
			told.Store(i, body)
		})
	}
	c.Parked(pollers + 1)
	res, _ := protocoltest.Exchange(t, addr, originalPublish(addr, "k", "news"))
	require.Equal(t, 200, res.StatusCode)
	all.Wait()
	count := 0
	told.Range(func(_, body any) bool {
		assert.Equal(t, "k%2CDEFAULT_GROUP%3B", body)
		count++
		return true
	})
	assert.Equal(t, pollers, count)
	assert.Equal(t, 1, c.Srv.Status().Waiters, "it waits on, undisturbed")
	c.Publish(protocoltest.Key("other"), "news")
	assert.Equal(t, "other%2CDEFAULT_GROUP%3B", <-foreign)
}

// poll polls as the original client does, without a network.
func poll(c *protocoltest.Centre, probe string, headers ...string) *httptest.ResponseRecorder {
	headers = append(headers, "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	return c.Ask("POST", "/diamond-server/getProbeModify", "Probe-Modify-Request="+url.QueryEscape(probe), headers...)
}

func TestDefect_L3_L5_Compared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		c.Publish(protocoltest.Key("k1"), "new")
		started := time.Now()
		w := poll(c, "k1,DEFAULT_GROUP,"+conf.MD5Hex("old"), "Long-Polling-TimeOut", "3000")
		assert.Equal(t, 200, w.Code, "compared on arrival")
		assert.Equal(t, "k1%2CDEFAULT_GROUP%3B", w.Body.String())
		assert.Zero(t, time.Since(started))

		w = poll(c, "k1,DEFAULT_GROUP,"+conf.MD5Hex("new"), "Long-Polling-TimeOut", "20")
		assert.Equal(t, 304, w.Code)
		assert.Empty(t, w.Body.String())
	})
}

func TestDefect_S18_EmptyStoreStarts(t *testing.T) {
	c := protocoltest.New(t)
	assert.Equal(t, 404, c.Ask("GET", "/diamond-server/config?dataId=k&group=DEFAULT_GROUP", "").Code, "ready, and without the key")
	assert.Equal(t, 304, poll(c, "k,DEFAULT_GROUP,;", "Long-Polling-TimeOut", "20").Code)
	assert.Equal(t, 200, c.Ask("POST", "/diamond-server/publishConfig?dataId=k&group=DEFAULT_GROUP&content=x", "").Code)
	assert.Equal(t, "x", c.Ask("GET", "/diamond-server/config?dataId=k&group=DEFAULT_GROUP", "").Body.String())
}

// Publishes that nobody polls for leave nothing behind. The original needed
// 39,000 to drown.
func TestDefect_L4_NoResidue(t *testing.T) {
	c := protocoltest.New(t)
	publishes := campaign.Scale(t, 500, 50_000)
	for i := range publishes {
		c.Publish(protocoltest.Key("k"), fmt.Sprint(i))
	}
	now := conf.MD5Hex(fmt.Sprint(publishes - 1))
	assert.Equal(t, 304, poll(c, "k,DEFAULT_GROUP,"+now, "Long-Polling-TimeOut", "20").Code)
	assert.Zero(t, c.Srv.Status().Waiters)
}

func TestDefect_L8_TimeoutBounded(t *testing.T) {
	for _, timeout := range []string{"", "x", "-5", "0", "95000", "9223372036854775807", "99999999999999999999"} {
		synctest.Test(t, func(t *testing.T) {
			c := protocoltest.New(t)
			started := time.Now()
			w := poll(c, "k,DEFAULT_GROUP,;", "Long-Polling-TimeOut", timeout)
			assert.Equal(t, 304, w.Code, timeout)
			assert.GreaterOrEqual(t, time.Since(started), 30*time.Second, timeout)
			assert.Less(t, time.Since(started), 90*time.Second, timeout)
		})
	}
}

func TestDefect_L7_L9_BadLists(t *testing.T) {
	c := protocoltest.New(t)
	for _, probe := range []string{
		"", ";", "a", "a,G,nothex", "a,G," + strings.ToUpper(conf.MD5Hex("x")), "a b,G,;", "a,G,;a,G,;", "a,G,,b,G,x,y",
		"a/b,G,;", "..,G,;", ",G,;", strings.Repeat("k", 257) + ",G,;", "a,G,\x00;",
	} {
		w := poll(c, probe, "Long-Polling-TimeOut", "10")
		assert.Equal(t, 400, w.Code, "%q", probe)
		assert.NotEmpty(t, w.Body.String(), "%q: a reason", probe)
	}
	var long strings.Builder
	for i := range conf.MaxPollKeys + 1 {
		fmt.Fprintf(&long, "%d,G,;", i)
	}
	w := poll(c, long.String())
	assert.Equal(t, 413, w.Code)
	assert.Contains(t, w.Body.String(), "100000")

	w = c.Ask("POST", "/diamond-server/getProbeModify", "", "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, 400, w.Code)
	w = c.Ask("POST", "/diamond-server/getProbeModify", "Probe-Modify-Request=a%2CG%2C%3B", "Content-Type", "application/json")
	assert.Equal(t, 400, w.Code)
}

// An empty content cannot be read by this protocol: it does not exist there,
// and its appearance is no news that would have a client ask for ever.
func TestOriginalClient_EmptyContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		c.Publish(protocoltest.Key("k"), "")
		assert.Equal(t, 404, c.Ask("GET", "/diamond-server/config?dataId=k", "").Code)
		started := time.Now()
		assert.Equal(t, 304, poll(c, "k,DEFAULT_GROUP,;", "Long-Polling-TimeOut", "5000").Code)
		assert.Equal(t, 5*time.Second, time.Since(started))
		assert.Equal(t, 200, poll(c, "k,DEFAULT_GROUP,"+conf.MD5Hex("was")+";").Code, "what was there has gone")
	})
}

// While a server is not ready its clients are sent elsewhere: a 404 would have
// them delete their copies.
func TestOriginalClient_NotReady(t *testing.T) {
	c := protocoltest.New(t)
	require.NoError(t, c.Srv.Close())
	assert.Equal(t, 503, c.Ask("GET", "/diamond-server/config?dataId=k", "").Code)
	assert.Equal(t, 503, poll(c, "k,DEFAULT_GROUP,;").Code)
	w := c.Ask("POST", "/diamond-server/publishConfig?dataId=k&content=x", "")
	assert.Equal(t, 503, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
}

func TestOriginalClient_Drained(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	answers := make(chan *http.Response, 1)
	go func() {
		res, _ := protocoltest.Exchange(t, addr, originalPoll(addr, "k,DEFAULT_GROUP,;", sixtySeconds))
		answers <- res
	}()
	c.Parked(1)
	c.Srv.Drain()
	res := <-answers
	assert.Equal(t, 304, res.StatusCode)
	assert.True(t, res.Close)
}
