package diamond

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/internal/worker"
)

// Close implements [Client]. It waits for at most 10 s for listeners, and then
// fails with an error that wraps [ErrUnavailable] and names the keys of those
// that are still running; and for a few seconds more for snapshots to be written.
func (c *client) Close() error {
	if !c.calls.close() {
		return nil
	}
	c.slots.mu.Lock()
	c.slots.closed.Store(true)
	halting := maps.Clone(c.running)
	for _, s := range c.slots.byKey.All() {
		for _, l := range s.listeners {
			l.stopped = true
			halting[l.worker] = s.key
		}
		s.listeners = nil
		s.broadcast()
	}
	c.slots.mu.Unlock()
	c.stop()

	blocked := haltAll(halting)
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

// haltAll returns when no callback is running, or when that takes too long:
// then with the keys of those that are.
func haltAll(workers map[*worker.Worker]Key) (blocked []string) {
	ended := make(map[<-chan struct{}]Key, len(workers))
	for w, key := range workers {
		ended[w.Halt()] = key
	}
	late := time.NewTimer(closeTimeout)
	defer late.Stop()
	for end, key := range ended {
		select {
		case <-end:
			continue
		default:
		}
		select {
		case <-end:
		case <-late.C:
			late.Reset(0)
			blocked = append(blocked, key.String())
		}
	}
	slices.Sort(blocked)
	return blocked
}
