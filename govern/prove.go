package govern

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// Prove returns the principal whose proof of identity came with a request: that of a token, or
// "cert:KIND:SAN" for a certificate. A certificate with several names is the first that has
// rights. Without a proof the principal is the zero one, who is anonymous, as it is at a store
// that is not governed yet. In observe mode a proof that is not valid counts as none.
//
// ErrUnauthenticated: the proof is unknown, expired, suspended, or from an address from which
// the token may not be used. ErrOverloaded: this server does not know it, and too many such
// proofs came from the address; see [WithUnknownProofs]. ErrUnavailable: this server does not
// know it, and the storage does not answer. It is safe for concurrent use.
func (c *Centre) Prove(ctx context.Context, proof conf.Proof) (conf.Principal, error) {
	principal, err := c.prove(ctx, &proof)
	if err == nil {
		if principal.Name != "" {
			c.judge.tally.proofs.Add(1)
		}
		return principal, nil
	}
	observe := c.judge.mode() == conf.ModeObserve
	if refused := new(proofError); errors.As(err, &refused) {
		c.judge.tally.deny(refused.reason, 1, observe)
		err = refused.error
		if observe {
			c.judge.would.refuseProof(refused.reason, addressOf(proof.Address), err)
		}
	}
	if observe {
		return conf.Principal{}, nil
	}
	return conf.Principal{}, engine.AnswerError(ctx, "prove", conf.Key{}, err)
}

func (c *Centre) prove(ctx context.Context, proof *conf.Proof) (conf.Principal, error) {
	switch mode := c.judge.mode(); {
	case mode == "":
		return conf.Principal{}, errNotReady()
	case mode == conf.ModeOpen || proof.Anonymous():
		return conf.Principal{}, nil
	case proof.Token != "" && len(proof.Names) > 0:
		return conf.Principal{}, unauthenticated("a token and a certificate: only one of them may prove who sends a request")
	case proof.Token != "":
		return c.proveToken(ctx, proof)
	}
	return c.proveCertificate(ctx, proof.Names)
}

// proofError is the error of a proof that is not valid.
type proofError struct {
	error
	reason string // one of conf.Denials
}

func unauthenticated(detail string) error { return unproven(conf.DenialProof, detail) }

func unproven(reason, detail string) error {
	return &proofError{conf.Errorf(conf.ErrUnauthenticated, "%s", detail), reason}
}

func (c *Centre) proveToken(ctx context.Context, proof *conf.Proof) (conf.Principal, error) {
	policy := c.judge.now.Load().policy
	hash := sha256.Sum256([]byte(proof.Token))
	token, secret := policy.token(hash)
	if token == nil && !c.strangers.admit(proof.Address) {
		return conf.Principal{}, &proofError{c.strangers.refusal(proof.Address), conf.DenialProofRate}
	}
	if !strings.HasPrefix(proof.Token, SecretPrefix) {
		return conf.Principal{}, unauthenticated("token: does not begin with " + SecretPrefix)
	}
	if token == nil { // another server may have just made it
		c.judge.tally.caughtUp()
		behind := c.catchUps.wait(ctx)
		policy = c.judge.now.Load().policy
		if token, secret = policy.token(hash); token == nil {
			if behind != nil || !policy.tokensRead() {
				return conf.Principal{}, conf.Errorf(conf.ErrUnavailable, "token: is not known here, and the storage does not answer or has documents that cannot be read")
			}
			return conf.Principal{}, unauthenticated("token: is not known, or was withdrawn")
		}
	}
	switch {
	case secret.Expired(time.Now()):
		return conf.Principal{}, unproven(conf.DenialExpired, "token: has expired")
	case !token.Allows(addressOf(proof.Address)):
		return conf.Principal{}, unproven(conf.DenialAddress, "token: may not be used from this address")
	case policy.suspended(token):
		return conf.Principal{}, unauthenticated("token: is of before the store lost history or was restored, and must be confirmed or renewed")
	case strings.HasPrefix(proof.User, "token:") && proof.User != token.Principal():
		return conf.Principal{}, unauthenticated("user: is not the principal of the token")
	}
	return conf.Principal{Name: token.Principal()}, nil
}

// addressOf returns the address of a peer, which is invalid in process.
func addressOf(peer string) netip.Addr {
	if at, err := netip.ParseAddrPort(peer); err == nil {
		return at.Addr()
	}
	address, _ := netip.ParseAddr(peer)
	return address
}

func (c *Centre) proveCertificate(ctx context.Context, names []string) (conf.Principal, error) {
	var candidates []string
	for _, name := range names {
		principal := string(SubjectCertificate) + ":" + name
		if _, err := ParseSubject(principal); err == nil {
			candidates = append(candidates, principal)
		}
	}
	if len(candidates) == 0 {
		return conf.Principal{}, unauthenticated("certificate: has no name that can be granted rights")
	}
	for try := range 2 {
		policy := c.judge.now.Load().policy
		for _, principal := range candidates {
			if policy.rights(principal) != nil {
				return conf.Principal{Name: principal}, nil
			}
		}
		if try > 0 || len(candidates) == 1 { // one that is not known is what it is
			break
		}
		c.catchUp(ctx)
	}
	return conf.Principal{Name: candidates[0]}, nil
}

// tokensRead reports whether the documents of all tokens could be read. In another one the
// secret may stand that is looked for.
func (p *policy) tokensRead() bool {
	return !slices.ContainsFunc(p.unread, func(key conf.Key) bool { return key.Group == KindToken })
}
