package diamond

import (
	"strings"
	"time"

	"github.com/linnaname/gdiamond/internal/goid"
)

// Close implements [Client]. It waits for at most 10 s for listeners, and then
// fails with an error that wraps [ErrUnavailable] and names the keys of those
// that are still running; and for a few seconds more for snapshots to be written.
func (c *client) Close() error {
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		return nil
	}
	c.closed.Store(true)
	for cancel := range c.calls {
		(*cancel)(ErrClosed)
	}
	own := goid.Current()
	var running []*listening
	for _, s := range c.slots.All() {
		for _, l := range s.listeners {
			l.stopped = true
			if l.running {
				l.cancel()
				if l.goroutine != own {
					running = append(running, l)
				}
			}
		}
		s.listeners = nil
		s.broadcast()
	}
	c.mu.Unlock()
	c.stop()

	blocked := waitListeners(running)
	c.flush() // the writer writes what is left, and ends
	stopped := make(chan struct{})
	go func() {
		c.background.Wait()
		close(stopped)
	}()
	late := time.NewTimer(flushTimeout + time.Second)
	defer late.Stop()
	select {
	case <-stopped:
	case <-late.C:
		c.log.Warn("closed before all snapshots were written or the transport has returned")
	}
	if len(blocked) > 0 {
		return &Error{Op: "close", Err: ErrUnavailable, Detail: "listeners still running: " + strings.Join(blocked, ", ")}
	}
	return nil
}

// waitListeners returns when all have ended, or when that takes too long: then
// with the keys of those that have not.
func waitListeners(running []*listening) (blocked []string) {
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	for _, l := range running {
		select {
		case <-l.ended:
			continue
		default:
		}
		select {
		case <-l.ended:
		case <-late.C:
			late.Reset(0)
			blocked = append(blocked, l.slot.key.String())
		}
	}
	return blocked
}
