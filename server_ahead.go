package diamond

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// aheadEvery is how often it is logged at most that callers know a newer epoch.
const aheadEvery = time.Minute

// aheadOf is when that was logged last, in ns since the server was made; 0: never.
type aheadOf struct{ told atomic.Int64 }

// notBeforeSeen is notBefore for a position that a caller has seen, or says so.
func (s *server) notBeforeSeen(ctx context.Context, p Position, wait time.Duration) error {
	err := s.notBefore(ctx, p, wait)
	if errors.Is(err, ErrBehind) {
		return s.behind(p)
	}
	return err
}

// behind returns the error for a caller who has seen p, which has not been
// reached in time. A newer epoch than the store's may be on its way here. Where
// the store itself does not have it, as after a restore under a clock that was
// behind that of the restore before, all who have seen it wait for ever.
func (s *server) behind(p Position) error {
	here := s.position().Epoch.Generation
	if p.Epoch.Generation <= here {
		return Errorf(ErrBehind, "revision %d of generation %d is not reached yet", p.Revision, p.Epoch.Generation)
	}
	if s.ahead.tell(time.Since(s.started)) {
		s.log.Warn("a client has seen a newer generation of the store than there is here; if this goes on, the store was restored "+
			"under a wrong clock, or unknown to all servers: gdiamond restore --above, or migrate --above for a database, with that generation",
			"generation", p.Epoch.Generation, "here", here)
	}
	return Errorf(ErrBehind, "revision %d of generation %d is not reached yet, the store is of generation %d here; if this goes on, "+
		"it was restored under a wrong clock, or unknown to all servers: gdiamond restore --above %[2]d, or migrate --above for a database",
		p.Revision, p.Epoch.Generation, here)
}

// tell reports whether to log it now. Whoever can reach the server can ask for it.
func (a *aheadOf) tell(now time.Duration) bool {
	last := a.told.Load()
	return (last == 0 || now-time.Duration(last) >= aheadEvery) && a.told.CompareAndSwap(last, max(int64(now), 1))
}
