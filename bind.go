package diamond

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/linnaname/gdiamond/internal/worker"
)

// Value is a configuration as a T of the program's own, kept up to date. It is
// safe for concurrent use. [Bind] makes one.
type Value[T any] struct {
	current atomic.Pointer[T]
	sub     *Subscription
	decoder decoder[T]
	log     *slog.Logger

	mu       sync.Mutex
	config   Config               // guarded by mu: that current was made of
	err      error                // guarded by mu
	rejected bool                 // guarded by mu: err is why the newest value was
	watchers map[*watcher[T]]bool // guarded by mu; nil: closed
}

// Bind follows key as a T: it returns when there is a value, and replaces it
// whenever a newer one is published that can be used.
//
// A content is decoded by its [Entry].Type, or else by [TypeOf] its data id:
// "json", "yaml", "toml" or "properties"; a T of kind string or []byte takes
// it as it is. Each is decoded into a fresh T, after its SetDefaults method
// has been called, if *T has one, and after the content of [WithDefault].
// Then the Validate() error method of T or *T is called, if there is one. A
// content that cannot be decoded or is not valid is rejected: the value in
// force stays, [Value.Err] says why, and the server is told, without content.
//
// A content means the same in every format, or is rejected with its line and
// a reason: a number that the field cannot hold exactly, a key that appears
// twice, a time.Duration without a unit. A field has the name in its tag of
// the format, or else in its first tag json, yaml, toml or properties, or else
// its own. A content that says nothing (it is empty, or holds only comments or
// a null) is rejected too, unless there is a default. One that is nested more
// than 64 deep or has more than 1,048,576 values is rejected before it costs
// time and memory. docs/formats.md has all rules, and a table of what each
// type of field takes.
//
// Bind waits for a first value as [Subscription.Wait] does; where the first is
// rejected it takes the last good snapshot. With a default it does not wait on
// when servers have had their second and there is no snapshot to use, which beats
// a default always: it goes on with the default, and the value comes when it comes.
//
// Where the key is deleted, a default is in force again, as it is in a program
// that starts then: programs that run and those that start do not differ. Without
// a default the last value stays in force, and a start fails with ErrNotFound.
//
// Errors: ErrNotFound, ErrUnavailable, why the value was rejected, ErrInvalid
// where the default cannot be used, or that of ctx. With an error nothing
// stays behind. ctx is used for waiting alone: a Value lives until Close, or
// until the client is closed.
func Bind[T any](ctx context.Context, c Client, key Key, opts ...BindOption) (*Value[T], error) {
	key = key.Canonical()
	v := &Value[T]{decoder: decoder[T]{key: key}, watchers: make(map[*watcher[T]]bool), log: slog.New(slog.DiscardHandler)}
	if own, ok := c.(*client); ok {
		v.log = own.log
	}
	for _, o := range opts {
		o(&v.decoder.bindConfig)
	}
	if v.decoder.hasDefault {
		first, err := v.decoder.fresh()
		if err == nil {
			err = v.decoder.check(first)
		}
		if err != nil {
			return nil, &Error{Op: "bind", Key: key, Err: ErrInvalid, Detail: "the default cannot be used: " + err.Error()}
		}
		v.current.Store(first)
		v.config = v.decoder.defaultConfig()
	}
	sub, err := c.Subscribe(key, ListenerFunc(v.onConfig))
	if err != nil {
		return nil, opError("bind", key, err)
	}
	v.sub = sub
	if err := v.waitFirst(ctx); err != nil {
		sub.Stop()
		return nil, opError("bind", key, err)
	}
	return v, nil
}

// waitFirst waits for a first value. Where there is a default, only an end of
// ctx that the caller brought about is an error.
func (v *Value[T]) waitFirst(ctx context.Context) error {
	if !v.decoder.hasDefault {
		return v.sub.Wait(ctx)
	}
	err := v.sub.first(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil && v.config.Source == SourceDefault {
		v.err = opError("bind", v.decoder.key, err)
	}
	return nil
}

// Get returns the value in force. It never blocks and is never nil. The value
// is shared: do not change it.
func (v *Value[T]) Get() *T { return v.current.Load() }

// Err returns why the newest state of the key is not the value in force: it
// was rejected, or the key was deleted (ErrNotFound), or servers refuse it
// ([Config].Refused), or there has been none yet and the default is in force.
// nil: it is.
func (v *Value[T]) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// Config returns what the value in force was made of. Where an equal value was
// published since, or a server has confirmed it, its Revision, Source and
// Confirmed say so; after Close it stays as it is.
func (v *Value[T]) Config() Config {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now, ok := v.sub.delivered(); ok && equalEntries(&now.Entry, &v.config.Entry) {
		return now
	}
	return v.config
}

// onConfig makes a value of what the client says of the key.
func (v *Value[T]) onConfig(_ context.Context, config Config) error {
	if config.Deleted {
		return v.onDeleted()
	}
	fresh := v.Get()
	var err error
	if !v.madeOf(&config) {
		fresh, err = v.decode(&config)
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.err, v.rejected = err, true
		return err
	}
	// The last good snapshot comes in place of the newest value, which stays rejected.
	if config.Source != SourceSnapshot || !v.rejected {
		v.err, v.rejected = config.Refused, false
	}
	v.replace(fresh, config)
	return nil
}

// onDeleted puts the default in force, if there is one.
func (v *Value[T]) onDeleted() error {
	err := &Error{Op: "bind", Key: v.decoder.key, Err: ErrNotFound, Detail: "the key was deleted; its last value stays in force"}
	var fresh *T
	if v.decoder.hasDefault {
		err.Detail = "the key was deleted; the default is in force"
		fresh, _ = v.decoder.fresh() // it could be made when v was
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err, v.rejected = err, false
	if fresh != nil && v.config.Source != SourceDefault {
		v.replace(fresh, v.decoder.defaultConfig())
	}
	return nil
}

// replace puts fresh, which was made of config, in force. mu must be held.
func (v *Value[T]) replace(fresh *T, config Config) {
	v.config = config
	v.current.Store(fresh)
	for w := range v.watchers {
		w.worker.Wake()
	}
}

// madeOf reports whether the value in force was made of an equal config.
func (v *Value[T]) madeOf(config *Config) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.config.Source != SourceNone && v.config.Source != SourceDefault && equalEntries(&v.config.Entry, &config.Entry)
}

// decode makes a value of config. A panic of the program's own code goes on to
// the client, and is why the value was rejected.
func (v *Value[T]) decode(config *Config) (fresh *T, err error) {
	err = errPanic // until it has returned
	defer func() {
		if errors.Is(err, errPanic) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.err, v.rejected = opError("bind", v.decoder.key, err), true
		}
	}()
	fresh, err = v.decoder.decode(config)
	return fresh, opError("bind", v.decoder.key, err)
}

// Close ends the subscription and all callbacks, and waits for those under
// way, unless it is called from one. The value in force stays. A second Close
// does nothing.
func (v *Value[T]) Close() {
	v.sub.Stop()
	v.mu.Lock()
	watchers := v.watchers
	v.watchers = nil
	v.mu.Unlock()
	for w := range watchers {
		<-w.worker.Halt()
	}
}

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
