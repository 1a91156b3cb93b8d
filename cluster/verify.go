package cluster

import (
	"crypto/rand"
	"net/http"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// Verifier knows requests that a member of the cluster signed for it. It is
// safe for concurrent use, starts nothing and needs no closing.
type Verifier struct {
	secret Secret
	id     string
	start  time.Time // of its clock, which is the monotonic one
	nonces *nonces
}

// NewVerifier returns a verifier of requests that are signed with secret; with
// the zero Secret it verifies none.
func NewVerifier(secret Secret) *Verifier {
	return &Verifier{secret: secret, id: rand.Text(), start: time.Now(), nonces: newNonces(maxNonces)}
}

// Verify returns nil when r, whose whole body is body, was signed for this
// verifier, a moment ago, and is here for the first time. Else the answer's header
// gets what a [Signer] needs to do better, and the answer's status must be 403.
// ErrDenied: it was not. ErrOverloaded: there were too many; the status is free.
//
// What r asks for is its method, its path and its query; nothing else of it is
// proven, its Host and its other headers are not.
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
		return diamond.Errorf(diamond.ErrDenied, "only who knows the cluster secret may do this")
	}
	p, ok := parseProof(r.Header)
	if !ok {
		return diamond.Errorf(diamond.ErrDenied, "%s: is malformed", headerProof)
	}
	// First of all the MAC: before it nothing of the rest is to be believed.
	if !v.signed(&p, r, body) {
		return diamond.Errorf(diamond.ErrDenied, "the request is not signed with the cluster secret that is used here")
	}
	if p.verifier != v.id {
		return diamond.Errorf(diamond.ErrDenied, "the request is signed for another server, or for this one before its last start")
	}
	now := v.now()
	if age := now - time.Duration(p.time)*time.Millisecond; age > Window || age < -Window {
		return diamond.Errorf(diamond.ErrDenied, "the request was signed %v ago, which is not within %v", age.Round(time.Millisecond), Window)
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
