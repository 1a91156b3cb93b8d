package httptransport_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// X3: what a request says of where it comes from has no effect.
func TestX3_SpoofedTrust(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "PUT "+one+" HTTP/1.1\r\nHost: "+addr+"\r\nContent-Length: 1\r\nX-Forwarded-For: 10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\n"+
		"Forwarded: for=10.1.2.3\r\nUser-Agent: Nacos-Server\r\nX-Forwarded-Host: evil.test\r\nDiamond-Client: id=root&app=admin\r\nAuthorization: Basic cm9vdDo=\r\n\r\nx")
	require.NoError(t, err)
	res, _ := protocoltest.Answer(t, bufio.NewReader(conn))
	require.Equal(t, 200, res.StatusCode)
	history, err := c.Srv.History(t.Context(), &conf.HistoryRequest{Key: protocoltest.Key("app.yaml")})
	require.NoError(t, err)
	require.Len(t, history.Changes, 1)
	assert.Equal(t, conn.LocalAddr().String(), history.Changes[0].Address)
	assert.Empty(t, history.Changes[0].Author.Name)
}

// mutations are a good request to each route that changes something.
var mutations = [][3]string{
	{"PUT", one, "x"},
	{"DELETE", one, ""},
	{"POST", "/v1/changesets", `{"op":"publish","key":"k","length":1}` + "\nx\n"},
	{"POST", "/v1/reports", `{"reports":[]}`},
	{"POST", "/diamond-server/publishConfig?dataId=k&content=x", ""},
}

// X15: no page of another origin, and none whose name was pointed at the
// server (DNS rebinding), changes anything.
func TestX15_WebPages(t *testing.T) {
	c := protocoltest.New(t, httptransport.WithAllowedHosts("config.internal"))
	send := func(m [3]string, host string, headers ...string) int {
		r, err := http.NewRequest(m[0], m[1], strings.NewReader(m[2]))
		require.NoError(t, err)
		r.Host, r.RequestURI, r.RemoteAddr = host, m[1], "192.0.2.1:1"
		r.Header.Set("Diamond-Client", "id=c")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := newRecorder()
		c.H.ServeHTTP(w, r)
		return w.Code
	}
	for _, m := range mutations {
		for name, refused := range map[string]int{
			"cross-site":       send(m, "127.0.0.1:1210", "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.test"),
			"same-site":        send(m, "127.0.0.1:1210", "Sec-Fetch-Site", "same-site"),
			"old browser":      send(m, "127.0.0.1:1210", "Origin", "http://evil.test"),
			"null origin":      send(m, "127.0.0.1:1210", "Origin", "null"),
			"rebound name":     send(m, "evil.test:1210", "Origin", "http://evil.test:1210"),
			"rebound, silent":  send(m, "evil.test:1210"),
			"almost an IP":     send(m, "127.0.0.1.evil.test"),
			"almost localhost": send(m, "localhost.evil.test"),
			"name in brackets": send(m, "[evil.test]:1210"),
		} {
			assert.Equal(t, 403, refused, "%s %s: %s", m[0], m[1], name)
		}
	}
	assert.Zero(t, c.Srv.Status().Position.Revision, "nothing was done")
	for _, host := range []string{"127.0.0.1:1210", "127.0.0.1", "[::1]:1210", "[::1]", "localhost:1210", "LOCALHOST", "a.localhost", "10.1.2.3", "config.internal:1210", "Config.Internal.", ""} {
		assert.Equal(t, 200, send(mutations[0], host), host)
	}
	assert.Equal(t, 200, send(mutations[0], "127.0.0.1:1210", "Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:1210"))
}

// Reads are refused too where a rebound name could be used to steal: on loopback.
func TestX15_RebindingRead(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("app.yaml"), "secret")
	addr := c.Listen()
	for _, path := range []string{one, "/v1/configs", "/v1/changes", "/diamond-server/config?dataId=app.yaml"} {
		res, body := protocoltest.Exchange(t, addr, "GET "+path+" HTTP/1.1\r\nHost: evil.test:1210\r\n\r\n")
		assert.Equal(t, 403, res.StatusCode, path)
		assert.NotContains(t, body, "secret")
	}
	res, _ := protocoltest.Exchange(t, addr, "GET "+one+" HTTP/1.1\r\nHost: "+addr+"\r\n\r\n")
	assert.Equal(t, 200, res.StatusCode)

	all := protocoltest.New(t, httptransport.WithAllowedHosts("*"))
	assert.Equal(t, 404, all.Ask("GET", one, "").Code)
}

// X10: one event is one line, whatever a peer sends; and no record holds a content.
func TestX10_LogInjection(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := protocoltest.New(t, httptransport.WithLogger(logger))
	const secret = "s3cr3t-c0nt3nt"
	requests := 0
	for _, id := range []string{"a%0ab", "a%0d%0aevil", "%1b[31m", "a%22b", "%e2%80%a8", "%00", strings.Repeat("x", 4000)} {
		c.Ask("PUT", "/v1/configs/public/G/"+id, secret)
		c.Ask("GET", "/diamond-server/config?dataId="+id, "")
		c.Ask("POST", "/diamond-server/publishConfig?dataId="+id+"&content="+secret, "")
		c.Ask("GET", "/v1/configs/public/G/k?"+id+"=1", "")
		c.Ask("POST", "/v1/poll", `{"`+secret+`":1}`)
		c.Ask("POST", "/v1/changesets", `{"op":"`+secret+"\"}\n")
		c.Ask("PUT", "/v1/configs/public/G/k", secret)
		requests += 7
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	assert.Len(t, lines, requests)
	for _, line := range lines {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		for name, value := range record {
			assert.NotContains(t, fmt.Sprint(value), "\n", name)
			assert.NotContains(t, fmt.Sprint(value), "\x1b", name)
		}
		if !strings.Contains(line, "/v1/poll") { // the name of a field is no content
			assert.NotContains(t, line, secret)
		}
	}
}

// Successful reads and polls are logged at debug level only.
func TestLog_Levels(t *testing.T) {
	var log bytes.Buffer
	c := protocoltest.New(t, httptransport.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	c.Publish(protocoltest.Key("app.yaml"), "x")
	c.Ask("GET", one, "")
	c.Ask("GET", one+"x", "")
	c.Ask("POST", "/v1/poll", `{"keys":["a"]}`)
	assert.Empty(t, log.String())
	c.Ask("PUT", one, "")
	assert.Contains(t, log.String(), `"level":"INFO","msg":"request refused"`)
	require.NoError(t, c.Srv.Close())
	c.Ask("GET", one, "")
	assert.Contains(t, log.String(), `"level":"WARN","msg":"request failed"`)
}

// X11: nothing that a peer sends becomes a header of an answer.
func TestX11_HeaderInjection(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	const evil = "k%0d%0aX-Evil:%201%0d%0a%0d%0aHTTP/1.1%20200%20OK"
	for _, raw := range []string{
		"GET /v1/configs/public/G/" + evil + " HTTP/1.1\r\nHost: " + addr + "\r\n\r\n",
		"PUT /v1/configs/public/G/" + evil + " HTTP/1.1\r\nHost: " + addr + "\r\nContent-Length: 1\r\n\r\nx",
		"PUT " + one + "?comment=" + evil + " HTTP/1.1\r\nHost: " + addr + "\r\nContent-Length: 1\r\n\r\nx",
		"PUT " + one + "?type=" + evil + " HTTP/1.1\r\nHost: " + addr + "\r\nContent-Length: 1\r\n\r\nx",
		"PUT " + one + " HTTP/1.1\r\nHost: " + addr + "\r\nDiamond-Meta: a=" + evil + "\r\nContent-Length: 1\r\n\r\nx",
		"GET /diamond-server/config?dataId=" + evil + " HTTP/1.1\r\nHost: " + addr + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, raw)
		require.NoError(t, err)
		r := bufio.NewReader(conn)
		res, _ := protocoltest.Answer(t, r)
		assert.Equal(t, 400, res.StatusCode, "%q", raw)
		assert.Empty(t, res.Header.Get("X-Evil"), "%q", raw)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, err = r.ReadByte()
		assert.Error(t, err, "one answer, not two: %q", raw)
		require.NoError(t, conn.Close())
	}
}

// The metadata that is accepted goes back in a header, escaped.
func TestX11_MetaEscaped(t *testing.T) {
	c := protocoltest.New(t)
	require.Equal(t, 200, c.Ask("PUT", one, "x", "Diamond-Meta", "q=%22%3B%3D%26%20%C3%A9").Code)
	assert.Equal(t, "q=%22%3B%3D%26+%C3%A9", c.Ask("GET", one, "").Header().Get("Diamond-Meta"))
}
