package diamond

import (
	"context"
	"errors"
	"time"
)

// aheadEvery is how often it is logged at most that callers know a newer epoch.
const aheadEvery = time.Minute

// notBeforeSeen is notBefore for a position that a caller has seen, or says so. A
// newer epoch than the store's may be on its way here. Where the store itself does
// not have it, as after a restore under a clock that was behind that of the
// restore before, all who have seen it wait for ever, and are told what helps.
func (s *server) notBeforeSeen(ctx context.Context, p Position, wait time.Duration) error {
	err := s.notBefore(ctx, p, wait)
	here := s.position().Epoch.Generation
	if !errors.Is(err, ErrBehind) || p.Epoch.Generation <= here {
		return err
	}
	if _, ok := s.aheadCallers.LogOnceIn(aheadEvery); ok {
		// Nobody has proven the position, so nobody is told to act on it.
		s.log.Warn("a client names a generation of the store that is newer than the one here; it may have made it up",
			"generation", p.Epoch.Generation, "here", here)
	}
	return Errorf(ErrBehind, "revision %d of generation %d is not reached yet, the store is of generation %d here; if this goes on, "+
		"it was restored under a wrong clock, or unknown to all servers: gdiamond restore --above %[2]d, or migrate --above for a database",
		p.Revision, p.Epoch.Generation, here)
}
