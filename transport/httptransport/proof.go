package httptransport

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// Prover is a server that knows whose a proof of identity is. If the server that a handler
// serves is one, the handler calls Prove once for each request that brings a proof, before
// it reads the body. So Prove must be quick, and safe for concurrent use.
type Prover interface {
	// Prove returns the principal of a proof, which is not malformed and not that of an
	// anonymous caller. ErrUnauthenticated: the proof is not valid.
	// ErrUnavailable: the server cannot tell now.
	Prove(ctx context.Context, proof conf.Proof) (conf.Principal, error)
}

// Limits of a proof in a request.
const (
	maxToken     = 4096 // bytes
	maxBasicUser = 128  // bytes
)

// proofs returns a function that has prover decide about the proof of a request. A request
// without a proof is anonymous, and so is one whose proof is malformed, as long as the server
// says that it refuses nothing.
func proofs(prover Prover) func(r *http.Request) (conf.Principal, error) {
	return func(r *http.Request) (conf.Principal, error) {
		proof, err := ReadProof(r)
		if err != nil && refusesNothing(r.Context(), prover) {
			return conf.Principal{}, nil
		}
		if err != nil || proof.Anonymous() {
			return conf.Principal{}, err
		}
		return prover.Prove(r.Context(), proof)
	}
}

// refusesNothing reports whether a server says that it is open or in observe mode. There, what
// clients have always sent, such as a header for somebody else, must not fail.
func refusesNothing(ctx context.Context, prover Prover) bool {
	knower, ok := prover.(Knower)
	if !ok {
		return false
	}
	who, err := knower.WhoAmI(ctx)
	return err == nil && (who.Mode == conf.ModeOpen || who.Mode == conf.ModeObserve)
}

// ReadProof returns the proof of identity that r brings: a token in a Bearer header, a token
// as the password of a Basic header, or the names of a client certificate that the server
// has verified. The Proof of a request that brings none has only an address. The error is
// ErrUnauthenticated if a proof is malformed or there is more than one. Its text does not
// contain the proof.
func ReadProof(r *http.Request) (conf.Proof, error) {
	proof := conf.Proof{Address: r.RemoteAddr}
	values := r.Header[hAuthorization]
	certificate := verified(r)
	switch {
	case len(values) > 1, len(values) == 1 && certificate != nil:
		return conf.Proof{}, unproven("more than one proof of identity is given")
	case certificate != nil:
		if proof.Names = namesOf(certificate); len(proof.Names) == 0 {
			return conf.Proof{}, unproven("client certificate: has no alternative name of the kind dns, uri or email")
		}
	case len(values) == 1:
		if err := readAuthorization(&proof, values[0]); err != nil {
			return conf.Proof{}, err
		}
	}
	return proof, nil
}

func unproven(detail string) error { return conf.Errorf(conf.ErrUnauthenticated, "%s", detail) }

// readAuthorization reads the value of an Authorization header.
func readAuthorization(proof *conf.Proof, value string) error {
	scheme, rest, _ := strings.Cut(value, " ")
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		proof.Token = rest
	case strings.EqualFold(scheme, "Basic"):
		if len(rest) > base64.StdEncoding.EncodedLen(maxBasicUser+1+maxToken) {
			return unproven("authorization: too long")
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(rest)
		if err != nil || strings.ContainsAny(rest, "\r\n") { // which the decoder skips
			return unproven("authorization: is not the base64 of a user name and a token")
		}
		// The last colon ends the user name, because no token has one and names of principals do.
		colon := strings.LastIndexByte(string(raw), ':')
		if colon < 0 {
			return unproven("authorization: has no colon between a user name and a token")
		}
		proof.User, proof.Token = string(raw[:colon]), string(raw[colon+1:])
		if len(proof.User) > maxBasicUser {
			return unproven("authorization: the user name is too long")
		}
	default:
		return unproven("authorization: the scheme is not Bearer or Basic")
	}
	if !isToken(proof.Token) {
		return unproven("authorization: the token is empty, too long, or has characters that no token has")
	}
	return nil
}

// isToken reports whether s has the form of a token in a Bearer header (RFC 6750).
func isToken(s string) bool {
	if len(s) > maxToken {
		return false
	}
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// verified returns the client certificate of r if its chain has been verified, or nil.
func verified(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0]
}

// namesOf returns the alternative names of c, each with its kind.
func namesOf(c *x509.Certificate) (names []string) {
	for _, name := range c.DNSNames {
		names = append(names, "dns:"+name)
	}
	for _, uri := range c.URIs {
		names = append(names, "uri:"+uri.String())
	}
	for _, address := range c.EmailAddresses {
		names = append(names, "email:"+address)
	}
	return names
}
