package cluster

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Signer signs requests to one verifier. It is safe for concurrent use, starts no goroutines
// and needs no closing.
type Signer struct {
	secret Secret
	base   string // the escaped path at which the verifier is mounted

	mu    sync.Mutex
	known *acquaintance // guarded by mu; nil before the first challenge
}

// acquaintance is a signer's knowledge of its verifier.
type acquaintance struct {
	verifier string
	time     int64     // of the verifier's clock, in milliseconds
	learned  time.Time // the verifier's clock was not yet past time then; monotonic
	summer   summer    // with the secret that the verifier uses
}

// NewSigner returns a signer for requests whose URLs begin with base. With the zero Secret it
// signs nothing.
func NewSigner(secret Secret, base *url.URL) *Signer {
	return &Signer{secret: secret, base: strings.TrimSuffix(base.EscapedPath(), "/")}
}

// Do signs a request and sends it like client.Do. If the verifier is new or refuses the
// signature, Do sends the request again, so a body needs a GetBody, which http.NewRequest
// sets. The error is ErrDenied if the other end does not have the same secret.
func (s *Signer) Do(client *http.Client, req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(s.sign(req, body))
	if err != nil || s.secret.IsZero() || res.StatusCode != http.StatusForbidden || res.Header.Get(headerChallenge) == "" {
		return res, err
	}
	// Read the rest of the body, so that the connection can be reused.
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
		return nil, conf.Errorf(conf.ErrInvalid, "request: its body cannot be read twice")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// sign returns req with a proof if the verifier is known, and otherwise req.
func (s *Signer) sign(req *http.Request, body []byte) *http.Request {
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	if known == nil {
		return req
	}
	// Sign the path below the mount point, because the verifier may not see its own prefix.
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

// learn records a verifier's challenge if the verifier knows the secret.
func (s *Signer) learn(h http.Header) error {
	c, ok := parseChallenge(h)
	if !ok {
		return conf.Errorf(conf.ErrDenied, "%s: is malformed", headerChallenge)
	}
	for _, summer := range s.secret.summers {
		if c.mac.equal(c.sum(summer)) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.known = &acquaintance{verifier: c.verifier, time: c.time, learned: time.Now(), summer: summer}
			return nil
		}
	}
	return conf.Errorf(conf.ErrDenied, "the other end has another cluster secret")
}
