package cluster

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Verifier verifies requests that members of the cluster signed for it. It is safe for
// concurrent use, starts no goroutines and needs no closing.
type Verifier struct {
	secret Secret
	id     string
	start  time.Time // of the verifier's clock; monotonic
	nonces *nonces
}

// NewVerifier returns a verifier for requests that are signed with secret. With the zero
// Secret it accepts none.
func NewVerifier(secret Secret) *Verifier {
	return &Verifier{secret: secret, id: rand.Text(), start: time.Now(), nonces: newNonces(maxNonces)}
}

// Verify returns nil if r, whose whole body is body, was signed for this verifier within
// [Window] and arrives for the first time. Otherwise Verify sets a challenge for the [Signer]
// in the answer's header. The error is ErrDenied if the request is not valid; the status of
// the answer must then be 403. It is ErrOverloaded if there were too many requests.
//
// The signature covers the method, the path, the query and the body, but not the Host and
// other headers.
func (v *Verifier) Verify(answer http.Header, r *http.Request, body []byte) error {
	err := v.verify(r, body)
	if err != nil && !v.secret.IsZero() {
		c := challenge{verifier: v.id, time: v.now().Milliseconds()}
		c.mac = c.sum(v.secret.summers[0])
		answer[headerChallenge] = []string{c.String()}
	}
	return err
}

func (v *Verifier) now() time.Duration { return time.Since(v.start) }

func (v *Verifier) verify(r *http.Request, body []byte) error {
	if !Signed(r) {
		return conf.Errorf(conf.ErrDenied, "only callers that know the cluster secret may do this")
	}
	p, ok := parseProof(r.Header)
	if !ok {
		return conf.Errorf(conf.ErrDenied, "%s: is malformed", headerProof)
	}
	// The MAC comes first: without it nothing else can be trusted.
	if !v.signed(&p, r, body) {
		return conf.Errorf(conf.ErrDenied, "the request is not signed with the cluster secret that is used here")
	}
	if p.verifier != v.id {
		return conf.Errorf(conf.ErrDenied, "the request is signed for another server, or for this one before its last start")
	}
	now := v.now()
	if age := now - time.Duration(p.time)*time.Millisecond; age > Window || age < -Window {
		return conf.Errorf(conf.ErrDenied, "the request was signed %v ago, which is not within %v", age.Round(time.Millisecond), Window)
	}
	return v.nonces.use(p.nonce, now)
}

func (v *Verifier) signed(p *proof, r *http.Request, body []byte) bool {
	asked := asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, body}
	for _, s := range v.secret.summers {
		if p.mac.equal(p.sum(s, asked)) {
			return true
		}
	}
	return false
}
