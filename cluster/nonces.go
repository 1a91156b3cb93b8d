package cluster

import (
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// maxNonces is how many nonces are remembered; each stands for a request that
// proved to know the secret.
const maxNonces = 1 << 18

// nonces remembers what was used, for twice the window at least: a time that
// was good when the nonce came is not any more when it is forgotten.
type nonces struct {
	mu      sync.Mutex
	newer   map[string]struct{} // guarded by mu; since turned
	older   map[string]struct{} // guarded by mu; before that
	turned  time.Duration       // guarded by mu; on the verifier's clock
	maximum int
}

func newNonces(maximum int) *nonces {
	return &nonces{newer: map[string]struct{}{}, maximum: maximum}
}

// use notes a nonce. ErrDenied: it was used before. ErrOverloaded: there is no
// room, and none is made by forgetting another too early.
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
		return diamond.Errorf(diamond.ErrDenied, "the request has been used before")
	case len(n.newer)+len(n.older) >= n.maximum:
		err := diamond.Errorf(diamond.ErrOverloaded, "more than %d signed requests within %v", n.maximum, keep)
		err.RetryAfter = Window
		return err
	}
	n.newer[nonce] = struct{}{}
	return nil
}
