package cluster

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// Signer signs requests to one verifier. It is safe for concurrent use, starts
// nothing and needs no closing.
type Signer struct {
	secret Secret
	base   string // the escaped path at which the verifier is mounted

	mu    sync.Mutex
	known *acquaintance // guarded by mu; nil: not met yet
}

// acquaintance is what a signer knows of its verifier.
type acquaintance struct {
	verifier string
	time     int64     // of the verifier's clock, in milliseconds
	learned  time.Time // when it was no later than that; the monotonic clock counts
	summer   summer    // under the secret that the verifier uses
}

// NewSigner returns a signer of requests to what is at base, all of whose URLs begin
// with it. With the zero Secret it signs none.
func NewSigner(secret Secret, base *url.URL) *Signer {
	return &Signer{secret: secret, base: strings.TrimSuffix(base.EscapedPath(), "/")}
}

// Do sends a request as client.Do does, signed. Where the verifier is new, or does not know
// the signature, it does so again: a body must be one that has a GetBody, as
// those of http.NewRequest do. ErrDenied: the other end has another secret, or
// pretends to have one.
func (s *Signer) Do(client *http.Client, req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(s.sign(req, body))
	if err != nil || s.secret.IsZero() || res.StatusCode != http.StatusForbidden || res.Header.Get(headerChallenge) == "" {
		return res, err
	}
	// What is left is of no use, but keeps the connection from being used again.
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	_ = res.Body.Close()
	if err := s.learn(res.Header); err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return client.Do(s.sign(again, body))
}

func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if req.GetBody == nil {
		return nil, diamond.Errorf(diamond.ErrInvalid, "request: its body cannot be read twice")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// sign returns req with a proof, where the verifier is known.
func (s *Signer) sign(req *http.Request, body []byte) *http.Request {
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	if known == nil {
		return req
	}
	// The path where both ends agree: below the verifier's own, which it may not see.
	asked := asked{req.Method, strings.TrimPrefix(req.URL.EscapedPath(), s.base), req.URL.RawQuery, body}
	p := proof{
		verifier: known.verifier,
		time:     known.time + time.Since(known.learned).Milliseconds(),
		nonce:    rand.Text(),
	}
	p.mac = p.sum(known.summer, asked)
	signed := req.Clone(req.Context())
	signed.Header[headerProof] = []string{p.String()}
	return signed
}

// learn takes what a verifier says of itself, if it knows the secret.
func (s *Signer) learn(h http.Header) error {
	c, ok := parseChallenge(h)
	if !ok {
		return diamond.Errorf(diamond.ErrDenied, "%s: is malformed", headerChallenge)
	}
	for _, summer := range s.secret.summers {
		if c.mac.equal(c.sum(summer)) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.known = &acquaintance{verifier: c.verifier, time: c.time, learned: time.Now(), summer: summer}
			return nil
		}
	}
	return diamond.Errorf(diamond.ErrDenied, "the other end has another cluster secret")
}
