// Package worker runs callbacks of other packages, one call at a time. Each worker has a
// goroutine that exists only while there is something to do.
package worker

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
)

// Worker calls a function when it is woken. [New] creates one. It is safe for concurrent use.
type Worker struct {
	do func(ctx context.Context)

	mu        sync.Mutex         // guards the fields below
	running   bool               // a goroutine is running
	again     bool               // woken since the last call of do
	halted    bool               // set by Halt
	goroutine uint64             // id of the goroutine, or 0 if not known yet
	cancel    context.CancelFunc // ends the context of the run
	ended     chan struct{}      // closed when the run ends
}

// New returns a worker that calls do. The context ends with the worker. If do panics, the
// program crashes, as in any goroutine. If do ends its goroutine, only the call ends.
func New(do func(ctx context.Context)) *Worker { return &Worker{do: do} }

// LogPanic recovers the panic of a callback and logs it with args. It must be deferred
// itself. It does not log the value of the panic, which may hold a content; the stack does
// not.
func LogPanic(log *slog.Logger, args ...any) {
	if recover() != nil {
		log.Error("a callback panicked", append(args, "stack", string(debug.Stack()))...)
	}
}

// Wake schedules a call of do. If a call is running, one more follows it, however often Wake
// is called meanwhile.
func (w *Worker) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = true
	w.start()
}

// start starts a run if there is something to do. mu must be held.
func (w *Worker) start() {
	if w.running || w.halted || !w.again {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.running, w.goroutine, w.cancel, w.ended = true, 0, cancel, make(chan struct{})
	go w.run(ctx)
}

func (w *Worker) run(ctx context.Context) {
	defer w.end()
	own := goroutineID()
	for w.next(own) {
		w.do(ctx)
	}
}

// next reports whether there is something to do.
func (w *Worker) next(own uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.goroutine = own
	again := w.again && !w.halted
	w.again = false
	return again
}

func (w *Worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel()
	w.running = false
	close(w.ended)
	w.start() // w was woken since, or do ended the goroutine
}

// Halt ends the worker: do is not called again, and the context of a running call ends. The
// returned channel is closed once no call is running. If Halt is called from within do, it is
// closed already.
func (w *Worker) Halt() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halted = true
	if !w.running || w.goroutine == goroutineID() {
		ended := make(chan struct{})
		close(ended)
		if w.running {
			w.cancel()
		}
		return ended
	}
	w.cancel()
	return w.ended
}

// Within reports whether its caller runs within do.
func (w *Worker) Within() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running && w.goroutine == goroutineID()
}

// goroutineID returns a number that no other running goroutine has. Go shows it only in the
// first line of a stack trace, "goroutine 7 [running]:".
func goroutineID() uint64 {
	var buf [64]byte
	line := buf[:runtime.Stack(buf[:], false)]
	line = bytes.TrimPrefix(line, []byte("goroutine "))
	digits, _, _ := bytes.Cut(line, []byte(" "))
	id, _ := strconv.ParseUint(string(digits), 10, 64)
	return id
}
