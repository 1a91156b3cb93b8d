package cluster

import (
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// maxNonces is the largest number of remembered nonces. Each belongs to a request that was
// signed with the secret.
const maxNonces = 1 << 18

// nonces remembers used nonces for at least twice the window. When a nonce is forgotten, its
// request's time is no longer valid.
type nonces struct {
	mu      sync.Mutex
	newer   map[string]struct{} // guarded by mu; nonces since turned
	older   map[string]struct{} // guarded by mu; nonces before turned
	turned  time.Duration       // guarded by mu; on the verifier's clock
	maximum int
}

func newNonces(maximum int) *nonces {
	return &nonces{newer: map[string]struct{}{}, maximum: maximum}
}

// use records a nonce. The error is ErrDenied if the nonce was used before, and ErrOverloaded
// if there is no room without forgetting another one too early.
func (n *nonces) use(nonce string, now time.Duration) error {
	const keep = 2 * Window
	n.mu.Lock()
	defer n.mu.Unlock()
	if age := now - n.turned; age > keep {
		n.older, n.newer, n.turned = n.newer, map[string]struct{}{}, now
		if age > 2*keep {
			n.older = nil
		}
	}
	_, used := n.newer[nonce]
	if !used {
		_, used = n.older[nonce]
	}
	switch {
	case used:
		return conf.Errorf(conf.ErrDenied, "the request has been used before")
	case len(n.newer)+len(n.older) >= n.maximum:
		err := conf.Errorf(conf.ErrOverloaded, "more than %d signed requests within %v", n.maximum, keep)
		err.RetryAfter = Window
		return err
	}
	n.newer[nonce] = struct{}{}
	return nil
}
