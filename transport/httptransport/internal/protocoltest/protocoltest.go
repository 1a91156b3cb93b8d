// Package protocoltest is the kit of the tests of protocols: a server with the
// handler that serves it.
package protocoltest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// MaxContent is the limit of one content of a Centre in bytes.
const MaxContent = 1 << 20

// The time limit and the interval of checks that wait for something.
const (
	Patience = time.Minute
	Tick     = time.Millisecond
)

// Centre is a server with its handler.
type Centre struct {
	Srv diamond.Server
	H   http.Handler

	t testing.TB
}

// New returns a centre on memory alone, which ends with the test.
func New(t testing.TB, opts ...httptransport.HandlerOption) *Centre {
	t.Helper()
	store := memstore.New()
	srv, err := diamond.NewServer(store, diamond.WithMaxContent(MaxContent))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	return Of(t, srv, append([]httptransport.HandlerOption{httptransport.WithMaxContent(MaxContent)}, opts...)...)
}

// Of returns a centre of srv, which the caller closes.
func Of(t testing.TB, srv diamond.Server, opts ...httptransport.HandlerOption) *Centre {
	return &Centre{Srv: srv, H: httptransport.NewHandler(srv, opts...), t: t}
}

// Publish publishes a content.
func (c *Centre) Publish(key conf.Key, content string) conf.Position {
	c.t.Helper()
	res, err := c.Srv.Commit(c.t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{
		Drafts: []conf.Draft{{Key: key, Content: content, AllowEmpty: true}},
	}})
	require.NoError(c.t, err)
	return res.Position
}

// Fetch asks the server for a key.
func (c *Centre) Fetch(key conf.Key) *conf.FetchResponse {
	c.t.Helper()
	res, err := c.Srv.Fetch(c.t.Context(), &conf.FetchRequest{Key: key})
	require.NoError(c.t, err)
	return res
}

// Listen serves the handler on a loopback port and returns its address.
func (c *Centre) Listen() string {
	hs := httptest.NewServer(c.H)
	c.t.Cleanup(hs.Close)
	return hs.Listener.Addr().String()
}

// Ask sends one request to the handler, without a network.
func (c *Centre) Ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return Ask(c.H, method, target, body, headers...)
}

// Parked waits until n polls are parked.
func (c *Centre) Parked(n int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.Srv.Status().Waiters == n }, Patience, Tick)
}

// Ask sends one request to h, without a network.
func Ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Exchange sends raw bytes and returns the answer, whose connection it closes.
func Exchange(t testing.TB, addr, raw string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	_, _ = io.WriteString(conn, raw) // it may be answered, and the connection closed, before all of it was sent
	return Answer(t, bufio.NewReader(conn))
}

// Answer reads an answer with its body.
func Answer(t testing.TB, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, string(body)
}

// Key returns the key of a data id in the default group.
func Key(dataID string) conf.Key { return conf.NewKey("", dataID) }

// OddContents are bytes that careless code alters.
func OddContents() map[string]string {
	var every strings.Builder
	for i := range 256 {
		every.WriteByte(byte(i))
	}
	return map[string]string{
		"every byte":    every.String(),
		"empty":         "",
		"one byte":      "\x00",
		"CRLF":          "a\r\nb\r\n",
		"BOM":           "\xef\xbb\xbfk: v",
		"emoji":         "😀\U0001F600",
		"invalid UTF-8": "\xff\xfe\xc3(",
		"blanks":        "  \tk: v \n\n",
		"forbidden":     `;&%#$@,*^~()/|\+`,
		"JSON":          `{"a":1,"b":[true,null,"é\u00e9"]}` + "\n",
		"PEM":           "-----BEGIN X-----\nMIIB+/=\n-----END X-----\n",
		"64 KiB - 1":    strings.Repeat("x", 64<<10-1),
		"64 KiB":        strings.Repeat("y", 64<<10),
		"64 KiB + 1":    strings.Repeat("z", 64<<10+1),
		"the largest":   strings.Repeat("\xff\x00", MaxContent/2),
	}
}
