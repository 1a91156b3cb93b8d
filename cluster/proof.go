package cluster

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of the protocol.
const (
	headerChallenge = "Diamond-Cluster-Challenge" // of a refusal
	headerProof     = "Diamond-Cluster-Proof"     // of a request
)

// Window is the largest difference between the time of a request and that of its verifier. A
// request that takes longer is sent again.
const Window = 15 * time.Second

// maxTime limits times on the wire, in milliseconds: about ten thousand years.
const maxTime = int64(1) << 48

// challenge identifies a verifier and its time.
type challenge struct {
	verifier string
	time     int64 // of the verifier's clock, in milliseconds
	mac      mac
}

func (c *challenge) sum(s summer) mac {
	return s("gdiamond challenge 1", c.verifier, strconv.FormatInt(c.time, 10))
}

func (c *challenge) String() string {
	return c.verifier + "." + strconv.FormatInt(c.time, 10) + "." + c.mac.String()
}

func parseChallenge(h http.Header) (c challenge, ok bool) {
	parts, ok := fields(h, headerChallenge, 3)
	if !ok {
		return c, false
	}
	c.verifier = parts[0]
	if c.time, ok = parseTime(parts[1]); !ok {
		return c, false
	}
	c.mac, ok = parseMAC(parts[2])
	return c, ok
}

// proof is the signature of a request.
type proof struct {
	verifier string // id of the verifier
	time     int64  // of the verifier's clock, in milliseconds
	nonce    string
	mac      mac
}

// asked is the part of a request that a proof covers.
type asked struct {
	method, path, query string
	body                []byte
}

func (p *proof) sum(s summer, a asked) mac {
	hash := sha256.Sum256(a.body)
	return s("gdiamond request 1", p.verifier, strconv.FormatInt(p.time, 10), p.nonce,
		a.method, a.path, a.query, string(hash[:]))
}

func (p *proof) String() string {
	return p.verifier + "." + strconv.FormatInt(p.time, 10) + "." + p.nonce + "." + p.mac.String()
}

func parseProof(h http.Header) (p proof, ok bool) {
	parts, ok := fields(h, headerProof, 4)
	if !ok {
		return p, false
	}
	p.verifier, p.nonce = parts[0], parts[2]
	if p.time, ok = parseTime(parts[1]); !ok {
		return p, false
	}
	p.mac, ok = parseMAC(parts[3])
	return p, ok
}

// Signed reports whether r claims to be signed; [Verifier.Verify] says whether it is.
func Signed(r *http.Request) bool { return len(r.Header[headerProof]) > 0 }

// fields returns the n parts of a header that occurs once.
func fields(h http.Header, name string, n int) ([]string, bool) {
	values := h[name]
	if len(values) != 1 || len(values[0]) > 256 {
		return nil, false
	}
	parts := strings.Split(values[0], ".")
	return parts, len(parts) == n
}

func parseTime(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n <= maxTime && strconv.FormatInt(n, 10) == s
}
