package httptransport_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// unreadRequests are requests whose answers are small: of every route, and of every
// way to answer or to refuse.
func unreadRequests() map[string]string {
	const form = "Content-Type: application/x-www-form-urlencoded\r\n"
	post := func(target, headers, body string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nDiamond-Client: id=a\r\n" + headers + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + chunk("")
	}
	get := func(method, target, headers string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n"
	}
	return map[string]string{
		"a content":                   get("GET", one, ""),
		"HEAD of a content":           get("HEAD", one, ""),
		"not modified":                get("GET", one, "If-None-Match: *\r\n"),
		"no such key":                 get("GET", one+"2", ""),
		"no such route":               get("GET", "/v1/typo", ""),
		"another method":              get("PATCH", one, ""),
		"a long URL":                  get("GET", "/v1/"+strings.Repeat("x", 9<<10), ""),
		"a list":                      get("GET", "/v1/configs", ""),
		"a history":                   get("GET", "/v1/history/public/DEFAULT_GROUP/app.yaml", ""),
		"changes":                     get("GET", "/v1/changes", ""),
		"the position":                get("GET", "/v1/position", ""),
		"a publish":                   strings.Replace(post(one, "", "y"), "POST", "PUT", 1),
		"a deletion":                  get("DELETE", one, ""),
		"a change set":                post("/v1/changesets", "", `{"op":"check","key":"none","revision":0}`+"\n"+`{"op":"delete","key":"app.yaml"}`+"\n"),
		"a poll":                      post("/v1/poll", "", `{"keys":["app.yaml"]}`),
		"a poll that waits":           post("/v1/poll", "", `{"keys":["none"],"wait":"80s"}`),
		"a watch":                     get("GET", "/v1/changes?prefix=none&wait=80s&group=g", ""),
		"reports":                     post("/v1/reports", "", `{"reports":[{"key":"a","revision":1,"applied":true}]}`),
		"go on":                       "PUT " + one + " HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
		"original, a content":         get("GET", "/diamond-server/config?dataId=app.yaml", ""),
		"original, no such key":       get("GET", "/diamond-server/config?dataId=none", ""),
		"original, a publish":         post("/diamond-server/publishConfig?dataId=a&content=b", form, ""),
		"original, a poll":            post("/diamond-server/getProbeModify", form, "Probe-Modify-Request=app.yaml%2CDEFAULT_GROUP%2C%3B"),
		"original, a poll that waits": post("/diamond-server/getProbeModify", form+"Long-Polling-TimeOut: 80000\r\n", "Probe-Modify-Request=none%2CDEFAULT_GROUP%2C%3B"),
	}
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// A peer that does not read its answer is given up within 15 s, whatever it asked
// for and however small the answer is; what it waited for comes on top. A WriteTimeout
// of the server's does for small reads.
func TestNobodyHoldsAnAnswerByNotReading(t *testing.T) {
	const bound, wait = 15 * time.Second, 80 * time.Second
	for _, writeTimeout := range []time.Duration{0, bound} {
		for name, raw := range unreadRequests() {
			t.Run(name+", "+writeTimeout.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := protocoltest.New(t)
					c.Publish(protocoltest.Key("app.yaml"), "x")
					p := memnet.Listen()
					serveOn(t, p, &http.Server{Handler: c.H, WriteTimeout: writeTimeout})
					conn, err := p.DialContext(t.Context(), "", "")
					require.NoError(t, err)
					defer func() { _ = conn.Close() }()
					_, err = io.WriteString(conn, raw)
					require.NoError(t, err)
					allowed := bound
					if strings.HasSuffix(name, "waits") || name == "a watch" {
						allowed += wait
					}
					time.Sleep(allowed + time.Second)
					read, err := io.ReadAll(conn)
					assert.NoError(t, err)
					assert.Empty(t, string(read), "it was closed before it was read")
				})
			})
		}
	}
}

// Refused requests are no exception.
func TestNobodyHoldsARefusalByNotReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t, httptransport.WithRequestLimits(0, 0))
		p := memnet.Listen()
		serve(t, p, c.H)
		conn, err := p.DialContext(t.Context(), "", "")
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = io.WriteString(conn, "GET "+one+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(16 * time.Second)
		read, err := io.ReadAll(conn)
		assert.NoError(t, err)
		assert.Empty(t, string(read))
	})
}

// The deadline of an answer is not that of a later one on the connection, which may
// be of another handler.
func TestDeadlinesEndWithTheirAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		c.Publish(protocoltest.Key("app.yaml"), "x")
		p := memnet.Listen()
		serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/own" {
				c.H.ServeHTTP(w, r)
			}
		}))
		conn, err := p.DialContext(t.Context(), "", "") // a client of net/http would try again on another one
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		answers := bufio.NewReader(conn)
		get := func(target string) {
			_, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			require.NoError(t, err, target)
			protocoltest.Answer(t, answers)
		}
		for _, target := range []string{one, one + "2", "/v1/typo", "/v1/configs"} {
			get(target)
			time.Sleep(20 * time.Second)
			get("/own")
			time.Sleep(20 * time.Second)
		}
	})
}
