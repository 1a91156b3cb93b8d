package namesrv

import (
	"net/http"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpguard"
)

// guard decides who may change the list: with a secret, anyone who knows it; without one,
// callers on this machine.
type guard struct {
	verifier *cluster.Verifier // nil without a secret
	insecure bool
	hosts    httpguard.Hosts
	origin   *http.CrossOriginProtection
}

// check returns an error if a request may not change the list. Errors wrap ErrDenied or
// ErrOverloaded.
func (g *guard) check(answer http.Header, r *http.Request, body []byte) error {
	if err := g.origin.Check(r); err != nil {
		return conf.Errorf(conf.ErrDenied, "a web page of another origin may not change the list")
	}
	if g.verifier != nil {
		return g.verifier.Verify(answer, r, body) // a web page cannot sign, so the host need not be checked
	}
	if !g.hosts.Allow(r.Host) {
		return conf.Errorf(conf.ErrDenied, "host %+.100q is not an allowed name of this name server (allowed-host)", r.Host)
	}
	if !g.insecure && !httpguard.FromThisMachine(r) {
		return conf.Errorf(conf.ErrDenied, "servers can register only from the name server's own machine, unless they share a secret with it or it trusts its network (insecure)")
	}
	return nil
}
