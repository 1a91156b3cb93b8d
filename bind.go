package diamond

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/follower"
	"github.com/linnaname/gdiamond/internal/worker"
)

// Value is a configuration decoded into a T of the program, kept up to date. It is
// safe for concurrent use. [Bind] makes one.
type Value[T any] struct {
	current atomic.Pointer[T]
	sub     *Subscription
	decoder decoder[T]

	mu       sync.Mutex
	config   Config // guarded by mu: what current was made from
	err      error  // guarded by mu: see errOf
	rejected bool   // guarded by mu: the newest value was rejected, for the reason err
	// lastErr is the newest error that there was, and may be over. errorCount counts them.
	// Both are guarded by mu.
	lastErr    error
	errorCount uint64
	watchers   map[*worker.Worker]bool // guarded by mu: one for each callback, or nil once closed
}

// Bind follows key as a T. It returns when there is a value, and replaces the value
// whenever a newer usable one is published.
//
// Contents are decoded by their [Entry].Type, or else by the type that [conf.TypeOf]
// returns for the data id: "json", "yaml", "toml" or "properties". A T of kind
// string or []byte takes the content as it is. Each content is decoded into a fresh
// T. That is a copy of the default that [WithDefault] sets, or else a zero T on which
// its SetDefaults method, if *T has one, has been called, and into which the content of
// [WithDefaultContent] has been decoded. Then the Validate() error method of T or *T is
// called, if there is one. A content that cannot be decoded or is not valid is
// rejected: the current value stays, [Value.Err] says why, and the server is told,
// without the content.
//
// A content means the same in every format, or is rejected with a line and a
// reason: for example a number that the field cannot hold exactly, a key that
// appears twice, or a time.Duration without a unit. The name of a field is its tag
// for the format, or else its first tag of json, yaml, toml and properties, or else
// its Go name. A content that says nothing (it is empty, or holds only comments or
// a null) is rejected too, unless there is a default. A content with more than 64
// levels of nesting or more than 1,048,576 values is rejected early.
// docs/formats.md has all rules, and a table of what each type of field accepts.
//
// Bind waits for a first value as [Subscription.Wait] does. If the first value is
// rejected, it uses the last good snapshot. With a default, Bind waits only until
// the servers have had the Snapshot of [Timeouts] to answer. It then uses a snapshot,
// or else the default, and the value follows when it arrives. A snapshot always takes
// precedence over a default.
//
// When the key is deleted, the default is used again, as in a program that starts
// then, so running and starting programs do not differ. Without a default the last
// value stays, and a program that starts fails with ErrNotFound.
//
// Errors: ErrNotFound, ErrUnavailable, the reason why the value was rejected,
// ErrInvalid if the default cannot be used, or the error of ctx. After an error
// nothing remains subscribed. Bind uses ctx only for waiting: a Value lives until
// its Close, or until the client is closed.
func Bind[T any](ctx context.Context, c Client, key Key, opts ...BindOption) (*Value[T], error) {
	key = key.Canonical()
	v := &Value[T]{decoder: decoder[T]{key: key}, watchers: make(map[*worker.Worker]bool)}
	for _, o := range opts {
		o(&v.decoder.bindConfig)
	}
	if v.decoder.hasDefault {
		first, err := v.decoder.fresh()
		if err != nil {
			return nil, conf.WithOp("bind", key, err)
		}
		if err := v.decoder.check(first); err != nil {
			return nil, conf.WithOp("bind", key, badDefault(err.Error()))
		}
		v.current.Store(first)
		v.config = v.decoder.defaultConfig()
	}
	sub, err := c.Subscribe(key, ListenerFunc(v.onConfig))
	if err != nil {
		return nil, conf.WithOp("bind", key, err)
	}
	v.sub = sub
	if err := v.waitFirst(ctx); err != nil {
		sub.Stop()
		return nil, conf.WithOp("bind", key, err)
	}
	return v, nil
}

// waitFirst waits for a first value. With a default, it fails only if the caller
// cancels ctx.
func (v *Value[T]) waitFirst(ctx context.Context) error {
	if !v.decoder.hasDefault {
		return v.sub.Wait(ctx)
	}
	err := v.sub.of.First(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil && v.config.Source == SourceDefault {
		v.fail(conf.WithOp("bind", v.decoder.key, err), false)
	}
	return nil
}

// Get returns the current value. It takes no lock and never returns nil. The value is
// shared and must not be changed.
func (v *Value[T]) Get() *T { return v.current.Load() }

// Err returns why the current value is not the newest state of the key, or may not be,
// or nil if it is: the newest value was rejected, the key was deleted (ErrNotFound),
// servers refuse the key ([Config].Refused), no server has confirmed the value and the
// last snapshot is in use (ErrUnavailable), or there has been no value yet and the
// default is in use: ErrNotFound or ErrDenied if a server has said so, or else why none
// did. An outage that begins later is no error of a Value, which has what servers said
// last; see [Client].OnError and [Client].Status.
func (v *Value[T]) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.presentErr()
}

// presentErr returns what Err returns. mu must be held.
func (v *Value[T]) presentErr() error {
	// The listener is told neither that a server has confirmed a snapshot, nor that a key
	// which never had a value is still without one.
	config := v.presentConfig()
	if _, delivered := v.sub.of.Delivered(); !delivered && v.err != nil {
		if err := v.sub.of.Absence(); err != nil {
			return err
		}
	}
	return v.errOf(&config)
}

// errOf returns what Err returns if the current value was made from config. mu must be
// held.
func (v *Value[T]) errOf(config *Config) error {
	if v.err == nil && config.Source == SourceSnapshot {
		return &Error{
			Op: "bind", Key: v.decoder.key, Err: ErrUnavailable,
			Detail: "no server has confirmed the value; the last snapshot is in use",
		}
	}
	return v.err
}

// Load returns the current value, which is that of Get, and what it was made from. They
// belong together, while the value can change between a call of [Value.Get] and one of
// [Value.Config]. Load does not wait for servers, callbacks or decoding, but it takes a
// lock for a moment; Get takes none.
//
// When an equal value is published, or a server confirms the value, the Revision, Source
// and Confirmed of the Config change accordingly, and the pointer stays the same. After
// Close neither changes.
func (v *Value[T]) Load() (*T, Config) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.Get(), v.presentConfig()
}

// Config returns the second result of [Value.Load].
func (v *Value[T]) Config() Config {
	_, config := v.Load()
	return config
}

// presentConfig returns what the current value was made from: of configs with equal
// entries, the newest that is known. mu must be held.
func (v *Value[T]) presentConfig() Config {
	if now, ok := v.sub.of.Delivered(); ok && v.isOf(&now.Entry) {
		v.config = now // so that nobody sees an older one when a value is rejected
	}
	return v.config
}

// onConfig makes a value from the state of the key.
func (v *Value[T]) onConfig(_ context.Context, config Config) error {
	if config.Deleted {
		return v.onDeleted()
	}
	v.mu.Lock()
	fresh, same := v.Get(), v.isOf(&config.Entry)
	v.mu.Unlock()
	var err error
	if !same {
		fresh, err = v.decode(&config)
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.fail(err, true)
		return err
	}
	v.replace(fresh, config)
	// The last good snapshot comes in place of the newest value, which stays rejected.
	if config.Source != SourceSnapshot || !v.rejected {
		v.fail(config.Refused, false)
	}
	return nil
}

// onDeleted makes the default the current value, if there is one.
func (v *Value[T]) onDeleted() error {
	err := &Error{Op: "bind", Key: v.decoder.key, Err: ErrNotFound, Detail: "the key was deleted; its last value stays in force"}
	var fresh *T
	if v.decoder.hasDefault {
		err.Detail = "the key was deleted; the default is in force"
		fresh, _ = v.decoder.fresh() // it cannot fail, as Bind has made it before
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if fresh != nil && v.config.Source != SourceDefault {
		v.replace(fresh, v.decoder.defaultConfig())
	}
	v.fail(err, false)
	return nil
}

// replace makes fresh, which was made from config, the current value. mu must be
// held.
func (v *Value[T]) replace(fresh *T, config Config) {
	v.config = config
	v.current.Store(fresh)
	v.wake()
}

// fail makes err, which may be nil, the error of the current value. rejected says that
// it is why the newest value was rejected. mu must be held.
func (v *Value[T]) fail(err error, rejected bool) {
	v.err, v.rejected = err, rejected
	if err := v.errOf(&v.config); err != nil {
		v.lastErr = err
		v.errorCount++
		v.wake()
	}
}

// wake has all callbacks look for something new. mu must be held.
func (v *Value[T]) wake() {
	for w := range v.watchers {
		w.Wake()
	}
}

// isOf reports whether the current value was made from an entry equal to e. mu must be
// held.
func (v *Value[T]) isOf(e *Entry) bool {
	return v.config.Source != SourceNone && v.config.Source != SourceDefault && follower.EqualEntries(&v.config.Entry, e)
}

// decode makes a value from config. A panic of the program's code passes on to the
// client, and becomes the reason for the rejection.
func (v *Value[T]) decode(config *Config) (fresh *T, err error) {
	err = follower.ErrPanic // in case it panics
	defer func() {
		if errors.Is(err, follower.ErrPanic) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.fail(conf.WithOp("bind", v.decoder.key, err), true)
		}
	}()
	fresh, err = v.decoder.decode(config)
	return fresh, conf.WithOp("bind", v.decoder.key, err)
}

// Close ends the subscription and all callbacks. It waits for callbacks under way,
// unless it is called from one. The current value stays. A second Close does
// nothing.
func (v *Value[T]) Close() {
	v.sub.Stop()
	v.mu.Lock()
	watchers := v.watchers
	v.watchers = nil
	v.mu.Unlock()
	for w := range watchers {
		<-w.Halt()
	}
}

// OnChange calls changed with the current value (old is nil), and then with each
// value that replaces it, until stop is called. Because the first call passes the
// current value, no change is lost between a Get and an OnChange. Calls to one
// callback are sequential and in order. A slow callback skips intermediate values
// and delays nobody else; old is always the value of its previous call. A panic is
// recovered. stop waits for a call under way, unless it is called from within it.
// After Close of the value or of the client there are no calls.
func (v *Value[T]) OnChange(changed func(old, new *T)) (stop func()) {
	var seen *T // the last value passed to changed, or nil; confined to the worker
	return v.watch(func() (call func()) {
		old, fresh := seen, v.Get()
		if old == fresh {
			return nil
		}
		seen = fresh
		return func() { changed(old, fresh) }
	})
}

// OnError calls told with the error that [Value.Err] returns, if there is one, and then
// with each new one, until stop is called: a newer value was rejected, the key was
// deleted, servers refuse the key, or a snapshot is in use. When an error is over, told
// is not called, and Err returns nil. While a default is in use, told is not called again
// if only the reason changes, as when servers come back and do not have the key.
//
// Calls are like those of [Value.OnChange]: those to one callback are sequential and in
// order, and delay nobody else. A slow callback misses errors that newer ones have
// replaced. A panic is recovered. stop waits for a call under way, unless it is called
// from within it. After Close of the value or of the client there are no calls.
func (v *Value[T]) OnError(told func(err error)) (stop func()) {
	v.mu.Lock()
	seen := v.errorCount // the number of the last error passed to told; from here on confined to the worker
	if err := v.presentErr(); err != nil {
		v.lastErr = err
		seen--
	}
	v.mu.Unlock()
	return v.watch(func() (call func()) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if seen == v.errorCount {
			return nil
		}
		seen = v.errorCount
		err := v.lastErr
		return func() { told(err) }
	})
}

// watch calls what next returns, if it is not nil, now and whenever the value or its
// error has changed, until stop is called. Each callback has a worker of its own.
func (v *Value[T]) watch(next func() (call func())) (stop func()) {
	var w *worker.Worker
	w = worker.New(func(context.Context) {
		call := next()
		if call == nil || !v.sub.of.Enter(w) {
			return
		}
		defer v.sub.of.Exit(w)
		defer worker.LogPanic(v.sub.of.Log, "key", v.decoder.key)
		call()
	})
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.watchers == nil {
		return func() {}
	}
	v.watchers[w] = true
	w.Wake()
	return func() {
		v.mu.Lock()
		delete(v.watchers, w)
		v.mu.Unlock()
		<-w.Halt()
	}
}
