package diamond

import (
	"maps"
	"slices"
	"strings"
	"time"
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
	halting := maps.Clone(c.telling)
	for _, s := range c.slots.All() {
		for _, l := range s.listeners {
			l.stopped = true
			halting[l] = true
		}
		s.listeners = nil
		s.broadcast()
	}
	c.mu.Unlock()
	c.stop()

	blocked := haltAll(slices.Collect(maps.Keys(halting)))
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

// haltAll returns when no listener is running, or when that takes too long:
// then with the keys of those that are.
func haltAll(listeners []*listening) (blocked []string) {
	ended := make([]<-chan struct{}, len(listeners))
	for i, l := range listeners {
		ended[i] = l.worker.Halt()
	}
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	for i, l := range listeners {
		select {
		case <-ended[i]:
			continue
		default:
		}
		select {
		case <-ended[i]:
		case <-late.C:
			late.Reset(0)
			blocked = append(blocked, l.slot.key.String())
		}
	}
	return blocked
}
