package record

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// Recorder records the events of a run. It is safe for concurrent use.
type Recorder struct {
	began time.Time

	mu   sync.Mutex
	last int64   // guarded by mu
	h    History // guarded by mu
}

// New returns a recorder for the run with a seed.
func New(seed uint64) *Recorder {
	return &Recorder{began: time.Now(), h: History{Seed: seed}}
}

// Now returns the nanoseconds since the recorder was created, by the monotonic clock. No two
// calls return the same number, so that two events at the same instant of a bubble's time still
// have an order.
func (r *Recorder) Now() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = max(r.last+1, int64(time.Since(r.began)))
	return r.last
}

// Op records a call.
func (r *Recorder) Op(o Op) { r.add(func(h *History) { h.Ops = append(h.Ops, o) }) }

// Len returns the number of recorded calls.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.h.Ops)
}

// Told records a call of a listener.
func (r *Recorder) Told(t Told) { r.add(func(h *History) { h.Told = append(h.Told, t) }) }

// Listener records a listener that exists in the end.
func (r *Recorder) Listener(l Listener) {
	r.add(func(h *History) { h.Listeners = append(h.Listeners, l) })
}

// Watch records a watch that has ended.
func (r *Recorder) Watch(w Watch) { r.add(func(h *History) { h.Watches = append(h.Watches, w) }) }

// Settled records the revision that all have reached.
func (r *Recorder) Settled(revision int64) { r.add(func(h *History) { h.Settled = revision }) }

// Held records the final state of a client.
func (r *Recorder) Held(held Held) { r.add(func(h *History) { h.Held = append(h.Held, held) }) }

// Node records the final state of a server.
func (r *Recorder) Node(held Held) { r.add(func(h *History) { h.Nodes = append(h.Nodes, held) }) }

// Fault records a fault.
func (r *Recorder) Fault(f Fault) { r.add(func(h *History) { h.Faults = append(h.Faults, f) }) }

// Right records a change of what somebody may do.
func (r *Recorder) Right(right Right) {
	r.add(func(h *History) { h.Rights = append(h.Rights, right) })
}

// Probe records a try to use a right.
func (r *Recorder) Probe(p Probe) { r.add(func(h *History) { h.Probes = append(h.Probes, p) }) }

func (r *Recorder) add(do func(*History)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(&r.h)
}

// History returns the recording. The recorder must not be used afterwards.
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
