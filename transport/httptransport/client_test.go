package httptransport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// against returns a client end against a handler that plays a server.
func against(t *testing.T, h http.HandlerFunc, opts ...httptransport.Option) *httptransport.Transport {
	hs := httptest.NewServer(h)
	tr := dial(t, hs.URL, append([]httptransport.Option{patient}, opts...)...)
	t.Cleanup(func() { tr.Close(); hs.Close() })
	return tr
}

// unasked asserts that err says that no server could be asked.
func unasked(t *testing.T, err error, sentinel error, message string) {
	t.Helper()
	require.ErrorIs(t, err, sentinel, message)
	var e *conf.Error
	require.True(t, errors.As(err, &e), message)
	assert.False(t, e.Remote, message)
}

func fetchKey(tr diamond.Transport) (*conf.FetchResponse, error) {
	return tr.Fetch(context.Background(), &conf.FetchRequest{Key: protocoltest.Key("k")})
}

func commitKey(tr diamond.Transport) (*conf.CommitResponse, error) {
	return tr.Commit(context.Background(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: protocoltest.Key("k"), Content: "x"}}}})
}

// A stranger's answer is never taken for this protocol's, least of all a 404 for a deletion.
func TestClient_Strangers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404 of a proxy": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such host", 404) },
		"404 without a position": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"error":{"code":"not_found"}}`)
		},
		"login page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>log in") },
		"empty 200":  func(http.ResponseWriter, *http.Request) {},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.test/", http.StatusTemporaryRedirect)
		},
		"bad gateway":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) },
		"204":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"cut at once":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not HTTP":     func(w http.ResponseWriter, _ *http.Request) { hijack(w, "SSH-2.0-x\r\n\r\n") },
		"bad position": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Diamond-Position", "zzz") },
	} {
		t.Run(name, func(t *testing.T) {
			tr := against(t, h)
			_, err := fetchKey(tr)
			unasked(t, err, conf.ErrUnavailable, "fetch")
			assert.NotErrorIs(t, err, conf.ErrNotFound)
			_, err = tr.Poll(t.Context(), &conf.PollRequest{Keys: []conf.Key{protocoltest.Key("k")}})
			unasked(t, err, conf.ErrUnavailable, "poll")
			_, err = tr.List(t.Context(), &conf.ListRequest{})
			unasked(t, err, conf.ErrUnavailable, "list")

			// For a write it matters whether it may have been done all the same.
			_, err = commitKey(tr)
			want := conf.ErrUnknownOutcome
			if strings.HasPrefix(name, "404") || name == "redirect" {
				want = conf.ErrUnavailable
			}
			unasked(t, err, want, "commit")
		})
	}
}

func hijack(w http.ResponseWriter, raw string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = io.WriteString(conn, raw)
		_ = conn.Close()
	}
}

// Only an address without a scheme has the port at which servers listen by default. A
// URL means what URLs mean.
func TestClient_DefaultPort(t *testing.T) {
	_, port, err := net.SplitHostPort(server.DefaultAddress)
	require.NoError(t, err)
	for addr, want := range map[string]string{
		"h": "h:" + port, "h:": "h:" + port, "h/centre": "h:" + port, "[::1]": "[::1]:" + port, "127.0.0.1": "127.0.0.1:" + port, "h:1211": "h:1211",
		"[fe80::1%eth0]:1": "[fe80::1%eth0]:1", "[fe80::1%25eth0]": "[fe80::1%eth0]:" + port,
		"[::1]:1": "[::1]:1", "http://h": "h:80", "https://h/centre": "h:443", "HTTPS://h:8443": "h:8443",
	} {
		var asked string
		tr := dial(t, addr, httptransport.WithHTTPClient(&http.Client{Transport: &http.Transport{
			DialContext: func(_ context.Context, _, addr string) (net.Conn, error) { asked = addr; return nil, io.ErrClosedPipe },
		}}))
		_, err := fetchKey(tr)
		unasked(t, err, conf.ErrUnavailable, addr)
		assert.Equal(t, want, asked, addr)
	}
}

// A TLS configuration that would have no effect is refused, and not ignored.
func TestClient_TLSBesideAnHTTPClient(t *testing.T) {
	both := []httptransport.Option{httptransport.WithTLS(&tls.Config{}), httptransport.WithHTTPClient(&http.Client{})}
	for range 2 {
		_, err := httptransport.New("h", both...)
		assert.ErrorIs(t, err, conf.ErrInvalid)
		slices.Reverse(both)
	}
}

func TestClient_OptionsAreChecked(t *testing.T) {
	for name, opt := range map[string]httptransport.Option{
		"no time": httptransport.WithTimeout(0), "less than none": httptransport.WithTimeout(-time.Second),
		"no answer": httptransport.WithMaxAnswer(0),
	} {
		_, err := httptransport.New("h", opt)
		assert.ErrorIs(t, err, conf.ErrInvalid, name)
	}
}

func TestClient_NobodyThere(t *testing.T) {
	tr := dial(t, "127.0.0.1:1")
	defer tr.Close()
	_, err := fetchKey(tr)
	unasked(t, err, conf.ErrUnavailable, "fetch")
	_, err = commitKey(tr)
	unasked(t, err, conf.ErrUnavailable, "commit: certainly not done")
}

func TestClient_Addresses(t *testing.T) {
	const form, more = "is neither host:port nor an http URL", "has more than scheme, host, port and path"
	for addr, why := range map[string]string{
		"": "is empty", "://": form, "ftp://h:1": form, "ho st:1": form, "h:port": form, "a:b:c": form, "http://": "has no host",
		"http://:80": "has no host", ":1210": "has no host, such as 127.0.0.1:1210", "::1": "such as [::1]:1210", "fe80::1/centre": "needs brackets",
		"http://h/?q=1": more, "h?q": more, "h?": more, "http://h:1/#f": more, "http://user:secret@h:1": more, "http://user:secret@h h": form,
		"http//h": form, "h//path": form, "h:0": "the port is not a number", "http://h:65536": "the port is not a number",
	} {
		tr, err := httptransport.New(addr)
		assert.Nil(t, tr, addr)
		assert.ErrorIs(t, err, conf.ErrInvalid, addr)
		assert.ErrorContains(t, err, why, addr)
		assert.ErrorContains(t, err, strings.TrimPrefix(addr, "http://user:secret@"))
		assert.NotContains(t, err.Error(), "secret")
		end, err := httptransport.Dialer()(addr)
		assert.True(t, end == nil, "%q: a nil *Transport is no nil diamond.Transport", addr)
		assert.ErrorIs(t, err, conf.ErrInvalid, addr)
	}
	c := protocoltest.New(t)
	hs := httptest.NewServer(http.StripPrefix("/centre", c.H))
	defer hs.Close()
	c.Publish(protocoltest.Key("k"), "x")
	for _, addr := range []string{hs.URL + "/centre", hs.URL + "/centre/"} {
		tr := dial(t, addr, patient)
		res, err := fetchKey(tr)
		require.NoError(t, err, addr)
		assert.True(t, res.Found)
		tr.Close()
	}
}

// N12: an answer that is cut off is never delivered (by default at every
// 97th byte of it, in a campaign at each).
func TestN12_ResetMidBody(t *testing.T) {
	c := protocoltest.New(t)
	content := strings.Repeat("0123456789abcdef", 4<<10)
	at := c.Publish(protocoltest.Key("k"), content)
	whole := map[string][]byte{}
	for name, ask := range map[string]func(tr diamond.Transport) error{
		"fetch": func(tr diamond.Transport) error {
			res, err := fetchKey(tr)
			if err == nil && res.Entry.Content != content {
				t.Error("another content was delivered")
			}
			return err
		},
		"poll": func(tr diamond.Transport) error {
			res, err := tr.Poll(t.Context(), &conf.PollRequest{Keys: []conf.Key{protocoltest.Key("k")}, Set: conf.HashKeys([]conf.Key{protocoltest.Key("k")})})
			if err == nil && (len(res.Changed) != 1 || res.Changed[0].Entry.Content != content || res.Position != at) {
				t.Error("another answer was delivered")
			}
			return err
		},
		"changes": func(tr diamond.Transport) error {
			res, err := tr.Changes(t.Context(), &conf.ChangesRequest{Contents: true})
			if err == nil && (len(res.Changes) != 1 || res.Changes[0].Content != content) {
				t.Error("another answer was delivered")
			}
			return err
		},
	} {
		// What the server says, as bytes; with and without a length, as proxies may take that out.
		recorder := &recordingProxy{t: t, to: c.Listen()}
		tr := recorder.transport()
		require.NoError(t, ask(tr), name)
		whole[name] = recorder.answer
		require.Greater(t, len(whole[name]), len(content))
		unsized := bytes.Replace(whole[name], fmt.Appendf(nil, "Content-Length: %d\r\n", recorder.length()), []byte("Connection: close\r\n"), 1)
		require.NotEqual(t, len(whole[name]), len(unsized))
		for kind, answer := range map[string][]byte{"sized": whole[name], "unsized": unsized} {
			step, tried := 97, 0
			if campaign.On() {
				step = 1
			}
			if testing.Short() {
				step = 997
			}
			var cut atomic.Int64
			replay := &replayServer{answer: answer, cut: &cut}
			tr := replay.transport(t)
			for n := len(answer) - 1; n >= 0; n -= step {
				cut.Store(int64(n))
				tried++
				assert.ErrorIs(t, ask(tr), conf.ErrUnavailable, "%s, %s, cut at %d of %d", name, kind, n, len(answer))
			}
			cut.Store(int64(len(answer)))
			assert.NoError(t, ask(tr), "%s, %s, whole", name, kind)
			t.Logf("%s, %s: cut at %d of %d places", name, kind, tried, len(answer))
		}
	}
}

// C16: what is damaged is asked for again, elsewhere.
func TestDefect_C16_CorruptReply(t *testing.T) {
	good := protocoltest.New(t)
	good.Publish(protocoltest.Key("k"), "right")
	for name, damage := range map[string]func(h http.Header, body []byte) []byte{
		"another content": func(_ http.Header, b []byte) []byte { b[0]++; return b },
		"no digest":       func(h http.Header, b []byte) []byte { h.Del("Diamond-Md5"); return b },
		"wrong digest":    func(h http.Header, b []byte) []byte { h.Set("Diamond-Md5", conf.MD5Hex("other")); return b },
		"upper-case": func(h http.Header, b []byte) []byte {
			h.Set("Diamond-Md5", strings.ToUpper(h.Get("Diamond-Md5")))
			return b
		},
		"no revision":      func(h http.Header, b []byte) []byte { h.Del("Diamond-Revision"); return b },
		"another key":      func(h http.Header, b []byte) []byte { h.Set("Diamond-Key", "public/DEFAULT_GROUP/other"); return b },
		"no key":           func(h http.Header, b []byte) []byte { h.Del("Diamond-Key"); return b },
		"no position":      func(h http.Header, b []byte) []byte { h.Del("Diamond-Position"); return b },
		"no time":          func(h http.Header, b []byte) []byte { h.Del("Diamond-Modified"); return b },
		"bad meta":         func(h http.Header, b []byte) []byte { h.Set("Diamond-Meta", "a=%zz"); return b },
		"empty body":       func(_ http.Header, _ []byte) []byte { return nil },
		"compressed":       func(h http.Header, b []byte) []byte { h.Set("Content-Encoding", "gzip"); return zipped(b) },
		"compressed, mute": func(_ http.Header, b []byte) []byte { return zipped(b) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := against(t, func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				good.H.ServeHTTP(rec, r)
				body := damage(rec.Header(), rec.Body.Bytes())
				for k, v := range rec.Header() {
					if k != "Content-Length" {
						w.Header()[k] = v
					}
				}
				_, _ = w.Write(body)
			})
			_, err := fetchKey(bad)
			unasked(t, err, conf.ErrUnavailable, name)

			b := transport.NewBalancer(transport.Static("bad", "good"), func(addr string) (diamond.Transport, error) {
				if addr == "bad" {
					return bad, nil
				}
				return transporttest.NewFaulty(good.Srv), nil
			})
			defer b.Close()
			res, err := fetchKey(b)
			require.NoError(t, err, "the next server is asked")
			assert.Equal(t, "right", res.Entry.Content)
		})
	}
}

func zipped(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(b)
	_ = z.Close()
	return buf.Bytes()
}

// C17: nothing is asked for compressed, and nothing is sent so.
func TestDefect_C17_NoCompression(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), strings.Repeat("compressible ", 1000))
	tr := against(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
		r.Header.Set("Accept-Encoding", "gzip, deflate, br")
		c.H.ServeHTTP(w, r)
		assert.Empty(t, w.Header().Get("Content-Encoding"))
	})
	res, err := fetchKey(tr)
	require.NoError(t, err)
	assert.Len(t, res.Entry.Content, 13000)
}

// N14: a cache between us that returns an old answer is found out by position.
func TestN14_CachingIntermediary(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), "old")
	var cached *httptest.ResponseRecorder
	tr := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && cached != nil { // a cache that ignores no-store, and the query
			for k, v := range cached.Header() {
				w.Header()[k] = v
			}
			_, _ = w.Write(cached.Body.Bytes())
			return
		}
		rec := httptest.NewRecorder()
		c.H.ServeHTTP(rec, r)
		if r.Method == http.MethodGet {
			assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			cached = rec
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	b := transport.NewBalancer(transport.Static("only"), func(string) (diamond.Transport, error) { return tr, nil })
	defer b.Close()
	_, err := fetchKey(b)
	require.NoError(t, err)
	at, err := b.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: protocoltest.Key("k"), Content: "new"}}}})
	require.NoError(t, err)
	_, err = b.Fetch(t.Context(), &conf.FetchRequest{Key: protocoltest.Key("k"), After: at.Position})
	assert.ErrorIs(t, err, conf.ErrBehind)
	res, err := fetchKey(b)
	require.NoError(t, err)
	assert.Positive(t, res.Stale, "an older answer is told as one")
}

// N6: a server that falls silent is given up 5 s after the wait, and its
// connection with it.
func TestN6_Silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := memnet.Listen()
		defer func() { _ = p.Close() }()
		var accepted, open atomic.Int32
		go func() {
			for {
				conn, err := p.Accept()
				if err != nil {
					return
				}
				accepted.Add(1)
				open.Add(1)
				go func() {
					_, _ = io.Copy(io.Discard, conn) // takes all, says nothing
					open.Add(-1)
				}()
			}
		}()
		client, network := clientOf(p)
		tr := dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(client))
		started := time.Now()
		_, err := tr.Poll(t.Context(), &conf.PollRequest{Keys: []conf.Key{protocoltest.Key("k")}, Wait: 25 * time.Second})
		unasked(t, err, conf.ErrUnavailable, "poll")
		assert.Equal(t, 30*time.Second, time.Since(started))

		started = time.Now()
		_, err = fetchKey(tr)
		unasked(t, err, conf.ErrUnavailable, "fetch")
		assert.Equal(t, 5*time.Second, time.Since(started))
		_, err = commitKey(tr)
		unasked(t, err, conf.ErrUnknownOutcome, "commit: it may have been done")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = tr.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: protocoltest.Key("k"), Content: "x"}}}})
		assert.ErrorIs(t, err, conf.ErrUnknownOutcome)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.EqualValues(t, 4, accepted.Load(), "each question has a connection of its own, as all were silent")
		assert.Zero(t, open.Load(), "and none is kept")
		network.CloseIdleConnections()
	})
}

// A slow transfer is not silence.
func TestClient_SlowTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := protocoltest.New(t)
		content := strings.Repeat("x", 64<<10)
		c.Publish(protocoltest.Key("k"), content)
		p := memnet.Listen()
		serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			c.H.ServeHTTP(rec, r)
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			for b := rec.Body.Bytes(); len(b) > 0; b = b[4096:] {
				time.Sleep(3 * time.Second)
				_, _ = w.Write(b[:4096])
				_ = http.NewResponseController(w).Flush()
			}
		}))
		client, network := clientOf(p)
		started := time.Now()
		res, err := fetchKey(dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(client)))
		require.NoError(t, err)
		assert.Equal(t, content, res.Entry.Content)
		assert.Greater(t, time.Since(started), 40*time.Second)
		network.CloseIdleConnections()
	})
}

// N8: a publish whose answer was lost is done once, however often it is sent.
func TestN8_RetriedPost(t *testing.T) {
	c := protocoltest.New(t)
	var asked atomic.Int32
	tr := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			c.H.ServeHTTP(w, r)
			return
		}
		if asked.Add(1) == 1 {
			c.H.ServeHTTP(httptest.NewRecorder(), r) // done, and the answer is lost
			panic(http.ErrAbortHandler)
		}
		c.H.ServeHTTP(w, r)
	})
	b := transport.NewBalancer(transport.Static("only"), func(string) (diamond.Transport, error) { return tr, nil })
	defer b.Close()
	res, err := b.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{
		RequestID: "once", Drafts: []conf.Draft{{Key: protocoltest.Key("k"), Content: "x", IfRevision: conf.Revision(0)}},
	}})
	require.NoError(t, err)
	assert.True(t, res.Replayed)
	assert.EqualValues(t, 1, res.Position.Revision)
	assert.EqualValues(t, 1, c.Srv.Status().Position.Revision)
	assert.EqualValues(t, 2, asked.Load())

	// Without a request id it is not sent again.
	asked.Store(0)
	_, err = commitKey(b)
	assert.ErrorIs(t, err, conf.ErrUnknownOutcome)
	assert.EqualValues(t, 1, asked.Load())
}

func TestClient_RetryAfter(t *testing.T) {
	tr := against(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
	})
	_, err := fetchKey(tr)
	var e *conf.Error
	require.True(t, errors.As(err, &e))
	assert.Equal(t, 7*time.Second, e.RetryAfter, "a proxy's counts too")
}

func TestClient_MaxAnswer(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("k"), strings.Repeat("x", 2000))
	tr := against(t, c.H.ServeHTTP, httptransport.WithMaxAnswer(1000))
	_, err := fetchKey(tr)
	unasked(t, err, conf.ErrUnavailable, "fetch")
	_, err = tr.List(t.Context(), &conf.ListRequest{Contents: true})
	unasked(t, err, conf.ErrUnavailable, "list")
}

func TestClient_Info(t *testing.T) {
	c := protocoltest.New(t)
	var got string
	tr := against(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Diamond-Client")
		c.H.ServeHTTP(w, r)
	})
	info := conf.ClientInfo{ID: "a b", App: "shop & co", Version: "1", Labels: map[string]string{"zone": "ü=1"}}
	_, err := tr.Fetch(t.Context(), &conf.FetchRequest{Client: info, Key: protocoltest.Key("k")})
	require.NoError(t, err)
	assert.Equal(t, "app=shop+%26+co&id=a+b&label.zone=%C3%BC%3D1&version=1", got)
}
