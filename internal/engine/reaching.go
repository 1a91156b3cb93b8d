package engine

import (
	"context"
	"errors"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// reachTimeout is the longest time that a request waits for the server to reach the
	// position that it names.
	reachTimeout = 3 * time.Second
	// aheadEvery is the minimum time between two log records of callers that know a newer
	// epoch.
	aheadEvery = time.Minute
)

// notBeforeSeen is notBefore for a position claimed by a client. Its epoch may be newer
// than the one here and on its way. If the store itself does not have that epoch, as after
// a restore under a clock that was behind, clients would ask for it for ever. So the error
// says what to do.
func (f *feed) notBeforeSeen(ctx context.Context, p conf.Position, wait time.Duration) error {
	err := f.notBefore(ctx, p, wait)
	here := f.served.position().Epoch.Generation
	if !errors.Is(err, conf.ErrBehind) || p.Epoch.Generation <= here {
		return err
	}
	if _, ok := f.aheadCallers.LogOnceIn(aheadEvery); ok {
		// The position is not proven, so the log must not advise anybody to act on it.
		f.log.Warn("a client names a generation of the store that is newer than the one here; it may have made it up",
			"generation", p.Epoch.Generation, "here", here)
	}
	return conf.Errorf(conf.ErrBehind, "revision %d of generation %d is not reached yet, the store is of generation %d here; if this goes on, "+
		"it was restored under a wrong clock, or unknown to all servers: gdiamond restore --above %[2]d, or migrate --above for a database",
		p.Revision, p.Epoch.Generation, here)
}

// catchUp waits until the server has served everything that the storage has now.
func (f *feed) catchUp(ctx context.Context) error {
	if _, err := f.served.serving(); err != nil {
		return err
	}
	page, err := f.reader.from.Scan(conf.ReadForFeed(ctx), conf.ScanRequest{Limit: 1})
	if err == nil {
		shown := f.served.shows(page.Position)
		if st := f.served.state.Load(); st != nil && shown(st) {
			return nil
		}
		f.claimed(page.Position)
		err = f.served.await(ctx, shown)
	}
	if err == nil || errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, conf.ErrUnavailable) {
		return err
	}
	return unavailable("the server could not catch up with the storage: %v", err)
}

// notBefore waits until the server has reached p, for up to wait.
func (f *feed) notBefore(ctx context.Context, p conf.Position, wait time.Duration) error {
	st, err := f.served.serving()
	if err != nil || p.IsZero() {
		return err
	}
	if st.position.Store != p.Store {
		return conf.Errorf(conf.ErrOtherStore, "the position is of store %v, this is %v", p.Store, st.position.Store)
	}
	if st.reached(p) {
		return nil
	}
	f.nudge() // not wake, because the caller may have made p up
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err = f.served.reach(waiting, p); err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return conf.Errorf(conf.ErrBehind, "revision %d of generation %d is not reached yet", p.Revision, p.Epoch.Generation)
	}
	return err
}
