package diamond

import (
	"context"
	"runtime/debug"

	"github.com/linnaname/gdiamond/internal/worker"
)

// watcher is one callback at a [Value].
type watcher[T any] struct {
	worker *worker.Worker
	seen   *T // what it was told last, nil at first; its worker's own
}

// OnChange has changed called with the value in force now, old being nil, and
// then with each that replaces it, until stop is called: as the present one
// comes first, no change falls between a Get and an OnChange. Calls of one
// callback come in order and do not overlap; the latest wins: a slow one misses
// what was replaced meanwhile, and old is always what it was told before. It
// hurts only itself, and a panic is recovered. stop waits for a call under way,
// unless it is called from it. After Close, of the value or of the client, nothing
// is called.
func (v *Value[T]) OnChange(changed func(old, new *T)) (stop func()) {
	w := &watcher[T]{}
	w.worker = worker.New(func(context.Context) {
		old, fresh := w.seen, v.Get()
		if old == fresh || !v.sub.enter(w.worker) {
			return
		}
		defer v.sub.exit(w.worker)
		w.seen = fresh
		defer func() {
			if recover() != nil { // the value may hold content, the stack does not
				v.log.Error("a callback panicked", "key", v.decoder.key, "stack", string(debug.Stack()))
			}
		}()
		changed(old, fresh)
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.watchers == nil {
		return func() {}
	}
	v.watchers[w] = true
	w.worker.Wake()
	return func() {
		v.mu.Lock()
		delete(v.watchers, w)
		v.mu.Unlock()
		<-w.worker.Halt()
	}
}
