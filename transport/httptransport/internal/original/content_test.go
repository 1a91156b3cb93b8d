package original_test

import (
	"bytes"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

func TestDefect_S3_S4_Conditional(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), "content")
	const target = "/diamond-server/config?dataId=k&group=DEFAULT_GROUP"
	md5 := conf.MD5Hex("content")
	for name, headers := range map[string][]string{
		"content-md5": {"Content-MD5", md5, "If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"},
		"etag":        {"If-None-Match", `"` + md5 + `"`},
		"weak etag":   {"If-None-Match", `"x", W/"` + md5 + `"`},
	} {
		w := c.Ask("GET", target, "", headers...)
		assert.Equal(t, 304, w.Code, name)
		assert.Equal(t, md5, w.Header().Get("Content-MD5"), "%s: the original client needs it", name)
		assert.Empty(t, w.Body.String(), name)
	}
	for name, headers := range map[string][]string{
		"another md5": {"Content-MD5", conf.MD5Hex("old")},
		"date alone":  {"If-Modified-Since", "Mon, 02 Jan 2090 15:04:05 GMT"},
	} {
		w := c.Ask("GET", target, "", headers...)
		assert.Equal(t, 200, w.Code, name)
		assert.Equal(t, "content", w.Body.String(), name)
	}
}

func TestDefect_S5_S6_S22_ByteExact(t *testing.T) {
	c := protocoltest.New(t)
	for name, content := range protocoltest.OddContents() {
		if strings.TrimSpace(content) == "" {
			continue
		}
		escaped := url.QueryEscape(content)
		w := c.Ask("POST", "/diamond-server/publishConfig", "content="+escaped+"&dataId=k&group=G", "Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		assert.Equal(t, 200, w.Code, "%s: %s", name, w.Body)
		w = c.Ask("GET", "/diamond-server/config?dataId=k&group=G", "")
		assert.True(t, w.Body.String() == content, "a form changed %s", name)
		if len(escaped) < 4096 {
			w = c.Ask("POST", "/diamond-server/publishConfig?dataId=q&group=G&content="+escaped, "")
			assert.Equal(t, 200, w.Code, name)
			assert.True(t, c.Fetch(conf.NewKey("G", "q")).Entry.Content == content, "a query changed %s", name)
		}
	}
}

func TestDefect_S7_S25_EveryProblemNamed(t *testing.T) {
	c := protocoltest.New(t)
	for _, form := range []string{"", "dataId=k", "dataId=k&content=", "dataId=k&content=%20%0A", "content=x", "dataId=&content=x"} {
		w := c.Ask("POST", "/diamond-server/publishConfig?"+form, "")
		assert.Equal(t, 400, w.Code, form)
	}
	w := c.Ask("POST", "/diamond-server/publishConfig?dataId=a%20b&group=%2F&content=", "")
	assert.Equal(t, 400, w.Code, "white space in an id is no fault of the server's")
	for _, field := range []string{"dataId", "group", "content"} {
		assert.Contains(t, w.Body.String(), field)
	}
	w = c.Ask("GET", "/diamond-server/config?dataId=a%20b&group=%2F", "")
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), "dataId")
	assert.Contains(t, w.Body.String(), "group")
}

func TestDefect_S12_S13_NamesAreNoPaths(t *testing.T) {
	c := protocoltest.New(t)
	for _, id := range []string{"..", ".", "../x", "/etc/passwd", "a\x00", strings.Repeat("k", 257)} {
		w := c.Ask("POST", "/diamond-server/publishConfig?content=x&dataId="+url.QueryEscape(id), "")
		assert.Equal(t, 400, w.Code, "%q", id)
		w = c.Ask("POST", "/diamond-server/publishConfig?content=x&dataId=k&group="+url.QueryEscape(id), "")
		assert.Equal(t, 400, w.Code, "%q", id)
	}
	assert.Zero(t, c.Srv.Status().Keys)
}

func TestDefect_S23_OneLimit(t *testing.T) {
	c := protocoltest.New(t)
	post := func(n int) (int, string) {
		w := c.Ask("POST", "/diamond-server/publishConfig", "dataId=k&content="+strings.Repeat("%78", n), "Content-Type", "application/x-www-form-urlencoded")
		return w.Code, w.Body.String()
	}
	code, _ := post(protocoltest.MaxContent)
	assert.Equal(t, 200, code)
	for _, n := range []int{protocoltest.MaxContent + 1, 2 * protocoltest.MaxContent} {
		code, body := post(n)
		assert.Equal(t, 413, code)
		assert.Regexp(t, "[0-9]{7}", body, "it names the number")
	}
}

func TestDefect_S24_MethodsAndPaths(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), "x")
	for _, r := range [][2]string{
		{"GET", "/diamond-server/publishConfig?dataId=k&content=y"}, {"PUT", "/diamond-server/publishConfig?dataId=k&content=y"},
		{"DELETE", "/diamond-server/config?dataId=k"}, {"POST", "/diamond-server/config?dataId=k"}, {"GET", "/diamond-server/getProbeModify"},
	} {
		w := c.Ask(r[0], r[1], "")
		assert.Equal(t, 405, w.Code, "%s %s", r[0], r[1])
		assert.NotEmpty(t, w.Header().Get("Allow"))
	}
	for _, path := range []string{"/", "/diamond-server/", "/diamond-server/typo", "/diamond-server/notify?dataId=k&group=G", "/diamond-server/config/", "//diamond-server/config?dataId=k", "/v1", "/v1/", "/v2/configs"} {
		assert.Equal(t, 404, c.Ask("GET", path, "").Code, path)
	}
	assert.Equal(t, "x", c.Fetch(protocoltest.Key("k")).Entry.Content)
}

// Original servers call each other at a path of their own, and it spoilt keys.
// There is no such path here: nothing comes of it.
func TestDefect_S14_NotifyChangesNothing(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("there"), "x")
	for _, dataID := range []string{"there", "new"} {
		for _, method := range []string{"GET", "POST"} {
			assert.Equal(t, 404, c.Ask(method, "/diamond-server/notify?dataId="+dataID+"&group=DEFAULT_GROUP", "").Code)
		}
		target := "/diamond-server/config?dataId=" + dataID + "&group=DEFAULT_GROUP"
		want := map[string]int{"there": 200, "new": 404}[dataID]
		assert.Equal(t, want, c.Ask("GET", target, "").Code, dataID)
		w := c.Ask("POST", "/diamond-server/publishConfig?dataId="+dataID+"&group=DEFAULT_GROUP&content=y", "")
		assert.Equal(t, 200, w.Code, "%s: %s", dataID, w.Body)
		assert.Equal(t, "y", c.Ask("GET", target, "").Body.String(), dataID)
	}
}

// A group that is missing or empty is the default one, to read and to publish.
func TestDefect_C23_EmptyGroupIsTheDefault(t *testing.T) {
	c := protocoltest.New(t)
	for i, group := range []string{"", "&group="} {
		content := strconv.Itoa(i)
		w := c.Ask("POST", "/diamond-server/publishConfig?dataId=k&content="+content+group, "")
		assert.Equal(t, 200, w.Code, "%q: %s", group, w.Body)
		for _, read := range []string{"", "&group=", "&group=DEFAULT_GROUP"} {
			assert.Equal(t, content, c.Ask("GET", "/diamond-server/config?dataId=k"+read, "").Body.String(), "%q", read)
		}
		assert.Equal(t, content, c.Fetch(protocoltest.Key("k")).Entry.Content)
	}
	w := c.Ask("POST", "/diamond-server/publishConfig", "dataId=form&group=&content=x", "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, 200, w.Code, w.Body)
	assert.Equal(t, "x", c.Fetch(protocoltest.Key("form")).Entry.Content)
}

func TestDefect_S26_FixedContentType(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k.html"), "<html><script>alert(1)</script>")
	for target, want := range map[string]string{
		"/diamond-server/config?dataId=k.html":    "text/plain; charset=utf-8",
		"/v1/configs/public/DEFAULT_GROUP/k.html": "application/octet-stream",
		"/v1/configs?contents=true":               "application/octet-stream",
	} {
		w := c.Ask("GET", target, "")
		assert.Equal(t, want, w.Header().Get("Content-Type"))
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
}

// A parameter in two places could be one thing to who checks it and another to
// who uses it.
func TestX2_ParametersOnce(t *testing.T) {
	c := protocoltest.New(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	assert.Equal(t, 400, c.Ask("GET", "/diamond-server/config?dataId=a&dataId=b", "").Code)
	assert.Equal(t, 400, c.Ask("POST", "/diamond-server/publishConfig?dataId=a", "dataId=b&content=x", form...).Code)
	assert.Equal(t, 200, c.Ask("POST", "/diamond-server/publishConfig?dataId=a", "content=x", form...).Code)
	assert.Equal(t, 400, c.Ask("GET", "/diamond-server/config?dataId=%zz", "").Code)
	assert.Equal(t, 400, c.Ask("POST", "/diamond-server/publishConfig", "dataId=a&content=%", form...).Code)
	assert.Equal(t, 400, c.Ask("POST", "/diamond-server/publishConfig", `{"dataId":"a"}`, "Content-Type", "application/json").Code)
}

// What a parameter is not is refused: else a content would be cut at an &, and a
// misspelt group be the default one.
func TestOriginalClient_UnknownParameters(t *testing.T) {
	var log bytes.Buffer
	c := protocoltest.New(t, httptransport.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	c.Publish(protocoltest.Key("k"), "x")
	const form = "application/x-www-form-urlencoded"
	for _, r := range []struct{ method, target, body, name string }{
		{"POST", "/diamond-server/publishConfig", "dataId=k&group=DEFAULT_GROUP&content=a=1&secret=2", "secret"},
		{"POST", "/diamond-server/publishConfig", "dataId=k&grup=G&content=y", "grup"},
		{"POST", "/diamond-server/publishConfig?grup=G", "dataId=k&content=y", "grup"},
		{"POST", "/diamond-server/publishConfig?dataId=k&content=y&b", "", "b"},
		{"GET", "/diamond-server/config?dataId=k&grup=G", "", "grup"},
		{"POST", "/diamond-server/getProbeModify?dataId=k", "Probe-Modify-Request=k%2CDEFAULT_GROUP%2C%3B", "dataId"},
		{"POST", "/diamond-server/getProbeModify", "Probe-Modify-Request=k%2CDEFAULT_GROUP%2C%3B&timeout=1", "timeout"},
	} {
		w := c.Ask(r.method, r.target, r.body, "Content-Type", form)
		assert.Equal(t, 400, w.Code, r.target+" "+r.body)
		assert.Contains(t, w.Body.String(), strconv.Quote(r.name), "it is named")
		assert.Contains(t, w.Body.String(), "%26", "with what may be meant")
	}
	assert.Equal(t, "x", c.Fetch(protocoltest.Key("k")).Entry.Content)
	assert.NotContains(t, log.String(), "secret", "it may be a part of a content, which no log has")
}

// All that original clients send beside the parameters is taken: the headers of
// the Go client, and of those who use curl or a browser.
func TestOriginalClient_Extras(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), "x")
	extras := []string{
		"User-Agent", "Go-http-client/1.1", "Accept-Encoding", "gzip,deflate", "Accept", "*/*", "Connection", "keep-alive", "Pragma", "no-cache",
		"If-Modified-Since", "2026-11-22 13:29:36 +0000 UTC m=+0.5", "Content-MD5", conf.MD5Hex("old"), "Long-Polling-TimeOut", "60000",
		"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8",
	}
	assert.Equal(t, 200, c.Ask("GET", "/diamond-server/config?dataId=k&group=DEFAULT_GROUP", "", extras...).Code)
	assert.Equal(t, 200, c.Ask("POST", "/diamond-server/publishConfig", "content=y&dataId=k&group=DEFAULT_GROUP", extras...).Code)
	assert.Equal(t, 200, c.Ask("POST", "/diamond-server/publishConfig?", "&content=z&&dataId=k&group=&", extras...).Code, "empty pairs are none")
	assert.Equal(t, 200, c.Ask("POST", "/diamond-server/getProbeModify", "Probe-Modify-Request="+url.QueryEscape("k,DEFAULT_GROUP,;"), extras...).Code)
}
