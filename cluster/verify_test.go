package cluster

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// end is a verifier with an HTTP handler around it, and what came to it.
type end struct {
	*Verifier
	requests []*http.Request
	bodies   []string
	errs     []error
}

func (e *end) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	err := e.Verify(w.Header(), r, body)
	e.requests, e.bodies, e.errs = append(e.requests, r), append(e.bodies, string(body)), append(e.errs, err)
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
	}
}

// RoundTrip has handler answer, as a client's transport.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte(nil)
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	in := httptest.NewRequest(r.Method, r.URL.RequestURI(), bytes.NewReader(body))
	in.Header = r.Header.Clone()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, in)
	return w.Result(), nil
}

func newEnd(t *testing.T, used string, accepted ...string) *end {
	return &end{Verifier: NewVerifier(secret(t, used, accepted...))}
}

func base(t *testing.T, s string) *url.URL {
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

func do(t *testing.T, s *Signer, h http.Handler, method, target, body string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	require.NoError(t, err)
	res, err := s.Do(&http.Client{Transport: direct{h}}, req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

func post(t *testing.T, s *Signer, h http.Handler, body string) int {
	t.Helper()
	status, err := do(t, s, h, "POST", "http://a.test/x%2Fy?q=1", body)
	require.NoError(t, err)
	return status
}

func TestSignAndVerify(t *testing.T) {
	e := newEnd(t, first)
	s := NewSigner(secret(t, first), base(t, "http://a.test"))
	for range 3 {
		require.Equal(t, 200, post(t, s, e, "hello"))
	}
	require.Len(t, e.requests, 4, "one to get to know each other")
	assert.Equal(t, []string{"hello", "hello", "hello", "hello"}, e.bodies)
	assert.ErrorContains(t, e.errs[0], "only callers that know the cluster secret")

	// Below another path than the verifier sees, as behind a proxy.
	e = newEnd(t, first)
	s = NewSigner(secret(t, first), base(t, "http://a.test/some%20where/"))
	status, err := do(t, s, http.StripPrefix("/some where", e), "PUT", "http://a.test/some%20where/v1/a%5B?x=%20", "")
	require.NoError(t, err)
	require.Equal(t, 200, status)
	assert.Equal(t, "/v1/a%5B", e.requests[1].URL.EscapedPath())
}

func TestVerifierStartsAnew(t *testing.T) {
	s := NewSigner(secret(t, first), base(t, "http://a.test"))
	for range 3 {
		e := newEnd(t, first)
		require.Equal(t, 200, post(t, s, e, "x"))
		require.Equal(t, 200, post(t, s, e, "x"))
		require.Len(t, e.requests, 3)
	}
}

// Each thing that a proof speaks of counts.
func TestX16_ForgedRequests(t *testing.T) {
	e := newEnd(t, first)
	s := NewSigner(secret(t, first), base(t, "http://a.test"))
	require.Equal(t, 200, post(t, s, e, "x"))
	good := func() *http.Request {
		r := httptest.NewRequest("POST", "/x%2Fy?q=1", nil)
		r.Header = s.sign(mustRequest(t, "POST", "http://a.test/x%2Fy?q=1", "x"), []byte("x")).Header
		return r
	}
	require.NoError(t, e.Verify(http.Header{}, good(), []byte("x")))

	proofOf := func(change func(p *proof)) func(*http.Request) {
		return func(r *http.Request) {
			p, ok := parseProof(r.Header)
			require.True(t, ok)
			change(&p)
			r.Header.Set(headerProof, p.String())
		}
	}
	stranger := newSummer(second)
	for name, forge := range map[string]func(r *http.Request){
		"method":          func(r *http.Request) { r.Method = "DELETE" },
		"path":            func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/x/z", "" },
		"path, unescaped": func(r *http.Request) { r.URL.RawPath = "" },
		"query":           func(r *http.Request) { r.URL.RawQuery = "q=2" },
		"query dropped":   func(r *http.Request) { r.URL.RawQuery = "" },
		"time":            proofOf(func(p *proof) { p.time++ }),
		"nonce":           proofOf(func(p *proof) { p.nonce += "x" }),
		"verifier":        proofOf(func(p *proof) { p.verifier += "x" }),
		"mac":             proofOf(func(p *proof) { p.mac.array[31] ^= 1 }),
		"another secret":  proofOf(func(p *proof) { p.mac = p.sum(stranger, asked{"POST", "/x%2Fy", "q=1", []byte("x")}) }),
		"the challenge's": proofOf(func(p *proof) { p.mac = (&challenge{verifier: p.verifier, time: p.time}).sum(newSummer(first)) }),
		"no mac": func(r *http.Request) {
			h := r.Header.Get(headerProof)
			r.Header.Set(headerProof, h[:strings.LastIndex(h, ".")+1])
		},
		"two":               func(r *http.Request) { r.Header.Add(headerProof, r.Header.Get(headerProof)) },
		"none":              func(r *http.Request) { r.Header.Del(headerProof) },
		"other credentials": func(r *http.Request) { r.Header = http.Header{"Authorization": {"Bearer " + first}} },
	} {
		r := good()
		forge(r)
		answer := http.Header{}
		require.ErrorIs(t, e.Verify(answer, r, []byte("x")), conf.ErrDenied, name)
		require.NotEmpty(t, answer.Get(headerChallenge), name)
	}
	require.ErrorIs(t, e.Verify(http.Header{}, good(), []byte("y")), conf.ErrDenied, "body")
	require.ErrorIs(t, NewVerifier(Secret{}).Verify(http.Header{}, good(), []byte("x")), conf.ErrDenied, "without a secret nobody knows it")

	// A proof of one lifetime, or of one verifier, is nothing to another.
	answer := http.Header{}
	err := newEnd(t, first).Verify(answer, good(), []byte("x"))
	require.ErrorContains(t, err, "another server, or for this one before its last start")
}

func mustRequest(t *testing.T, method, target, body string) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	require.NoError(t, err)
	return req
}

func TestX16_ReplayedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnd(t, first)
		s := NewSigner(secret(t, first), base(t, "http://a.test"))
		require.Equal(t, 200, post(t, s, e, "x"))
		captured := e.requests[1]
		replay := func() error { return e.Verify(http.Header{}, captured, []byte("x")) }
		for range 100 {
			require.ErrorContains(t, replay(), "used before")
			time.Sleep(Window / 100)
		}
		for range 1000 { // whatever else happens meanwhile
			require.Equal(t, 200, post(t, s, e, "x"))
			require.ErrorIs(t, replay(), conf.ErrDenied)
			time.Sleep(Window / 10)
		}
		time.Sleep(24 * time.Hour)
		require.ErrorContains(t, replay(), "not within")
	})
}

// S24: nobody's clock has a say: a challenge is of the verifier's own clock, and
// who knows that one goes by it.
func TestS24_NoClockMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSigner(secret(t, first), base(t, "http://a.test"))
		time.Sleep(1000 * time.Hour) // one is older than the other
		e := newEnd(t, first)
		require.Equal(t, 200, post(t, s, e, "x"))
		for range 100 {
			time.Sleep(time.Hour)
			require.Equal(t, 200, post(t, s, e, "x"))
		}
		require.Len(t, e.requests, 102, "they stay acquainted")

		// A machine that was asleep, or whose clock runs wrong, gets to know it anew.
		for _, off := range []time.Duration{-time.Hour, time.Hour} {
			s.known.learned = s.known.learned.Add(off)
			before := len(e.requests)
			require.Equal(t, 200, post(t, s, e, "x"))
			require.Len(t, e.requests, before+2)
			require.Equal(t, 200, post(t, s, e, "x"))
			require.Len(t, e.requests, before+3)
		}
	})
}

// A challenge cannot be forged, so that nobody can have a request signed now that will be good later.
func TestChallengesAreProven(t *testing.T) {
	s := NewSigner(secret(t, first), base(t, "http://a.test"))
	for name, header := range map[string]string{
		"another secret": newEnd(t, second).challengeText(), "malformed": "a.b.c", "a part too few": "a.1", "none but dots": "..",
		"time": strings.Replace(newEnd(t, first).challengeText(), ".0.", ".1.", 1), "negative": "a.-1." + mac{}.String(),
	} {
		other := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Empty(t, r.Header.Get(headerProof), name)
			w.Header().Set(headerChallenge, header)
			w.WriteHeader(http.StatusForbidden)
		})
		_, err := do(t, s, other, "POST", "http://a.test/", "x")
		require.ErrorIs(t, err, conf.ErrDenied, name)
	}
	_, err := do(t, s, newEnd(t, second), "POST", "http://a.test/", "x")
	require.ErrorContains(t, err, "another cluster secret")
}

func (e *end) challengeText() string {
	h := http.Header{}
	_ = e.Verify(h, httptest.NewRequest("POST", "/", nil), nil)
	return h.Get(headerChallenge)
}

// While the secret is being changed nobody is shut out.
func TestRotation(t *testing.T) {
	for _, c := range []struct{ signer, verifier []string }{
		{[]string{first}, []string{first, second}},
		{[]string{first, second}, []string{first}},
		{[]string{first, second}, []string{second, first}},
		{[]string{second, first}, []string{first, second}},
		{[]string{second}, []string{second, first}},
		{[]string{second, first}, []string{second}},
	} {
		e := newEnd(t, c.verifier[0], c.verifier[1:]...)
		s := NewSigner(secret(t, c.signer[0], c.signer[1:]...), base(t, "http://a.test"))
		require.Equal(t, 200, post(t, s, e, "x"), "%v", c)
	}
}

func TestNoncesAreNotForgottenEarly(t *testing.T) {
	const most = 10
	n := newNonces(most)
	now := time.Hour
	for i := range most {
		require.NoError(t, n.use(fmt.Sprint(i), now))
	}
	require.ErrorIs(t, n.use("more", now), conf.ErrOverloaded)
	require.ErrorIs(t, n.use("0", now), conf.ErrDenied)
	for range 20 { // all that time they are known, and so there is no room
		now += Window / 10
		require.ErrorIs(t, n.use("more", now), conf.ErrOverloaded)
		require.ErrorIs(t, n.use("9", now), conf.ErrDenied)
	}
	now += 4 * Window
	require.NoError(t, n.use("more", now))
	require.NoError(t, n.use("0", now))
	require.LessOrEqual(t, len(n.newer)+len(n.older), 2)
}

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	s := NewSigner(Secret{}, base(t, "http://a.test"))
	e := newEnd(t, first)
	require.Equal(t, 403, post(t, s, e, "x"))
	require.Equal(t, 403, post(t, s, e, "x"))
	assert.Len(t, e.requests, 2)
	for _, r := range e.requests {
		assert.NotContains(t, r.Header, headerProof)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.1.nonce."+mac{}.String(), "a.1."+mac{}.String())
	f.Add("", "...")
	v := NewVerifier(must(NewSecret(first)))
	s := NewSigner(v.secret, &url.URL{})
	f.Fuzz(func(t *testing.T, p, c string) {
		r := &http.Request{Method: "PUT", URL: &url.URL{Path: "/"}, Header: http.Header{headerProof: {p}}}
		if v.Verify(http.Header{}, r, nil) == nil {
			t.Fatal("accepted")
		}
		if s.learn(http.Header{headerChallenge: {c}}) == nil {
			t.Fatal("learned")
		}
		if got, ok := parseProof(r.Header); ok && got.String() != p {
			t.Fatalf("%q reads as %q", p, got.String())
		}
	})
}

func must(s Secret, err error) Secret {
	if err != nil {
		panic(err)
	}
	return s
}
