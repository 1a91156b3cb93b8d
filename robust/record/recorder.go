package record

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// Recorder takes down what happens. It is safe for concurrent use.
type Recorder struct {
	began time.Time

	mu   sync.Mutex
	last int64   // guarded by mu
	h    History // guarded by mu
}

// New returns a recorder of the run with a seed.
func New(seed uint64) *Recorder {
	return &Recorder{began: time.Now(), h: History{Seed: seed}}
}

// Now returns the nanoseconds since the recorder was made, by the monotonic
// clock. No two calls return the same, so that two events at one instant of a
// bubble's time still have an order.
func (r *Recorder) Now() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = max(r.last+1, int64(time.Since(r.began)))
	return r.last
}

// Op takes down a call.
func (r *Recorder) Op(o Op) { r.add(func(h *History) { h.Ops = append(h.Ops, o) }) }

// Len returns how many calls were taken down.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.h.Ops)
}

// Told takes down a listener's call.
func (r *Recorder) Told(t Told) { r.add(func(h *History) { h.Told = append(h.Told, t) }) }

// Listener takes down a listener that is there in the end.
func (r *Recorder) Listener(l Listener) {
	r.add(func(h *History) { h.Listeners = append(h.Listeners, l) })
}

// Watch takes down a watch that has ended.
func (r *Recorder) Watch(w Watch) { r.add(func(h *History) { h.Watches = append(h.Watches, w) }) }

// Settled takes down of what revision all have learned.
func (r *Recorder) Settled(revision int64) { r.add(func(h *History) { h.Settled = revision }) }

// Held takes down what a client has in the end.
func (r *Recorder) Held(held Held) { r.add(func(h *History) { h.Held = append(h.Held, held) }) }

// Node takes down what a server has in the end.
func (r *Recorder) Node(held Held) { r.add(func(h *History) { h.Nodes = append(h.Nodes, held) }) }

// Fault takes down a fault.
func (r *Recorder) Fault(f Fault) { r.add(func(h *History) { h.Faults = append(h.Faults, f) }) }

func (r *Recorder) add(do func(*History)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(&r.h)
}

// History returns what was taken down. The recorder is not used any more.
func (r *Recorder) History() *History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &r.h
}

// Digest returns the SHA-256 of content in hexadecimal.
func Digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
