package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// Storms are the effects of a gate on the calls of a storage.
type Storms struct {
	Down  bool          // calls fail at once without an effect
	Hung  bool          // calls wait until this is lifted
	Deaf  bool          // calls are made, but their answers are lost
	Delay time.Duration // upper bound of the delay of each call and each answer
}

// Gate is a node's access to a storage that it shares with others.
type Gate struct {
	store diamond.Storage

	mu      sync.Mutex
	now     Storms        // guarded by mu
	changed chan struct{} // guarded by mu; closed when now changes
	reads   int           // guarded by mu
}

var _ diamond.Storage = (*Gate)(nil)

// NewGate returns a gate to store.
func NewGate(store diamond.Storage) *Gate {
	return &Gate{store: store, changed: make(chan struct{})}
}

// Set changes the effects on calls, including running ones.
func (g *Gate) Set(s Storms) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = s
	close(g.changed)
	g.changed = make(chan struct{})
}

// Reads returns the number of contents that were read.
func (g *Gate) Reads() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reads
}

// enter lets a call pass, or returns an error.
func (g *Gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		now, changed := g.now, g.changed
		g.mu.Unlock()
		if now.Down {
			return conf.Errorf(diamond.ErrUnavailable, "the storage is down")
		}
		if !now.Hung {
			return delay(ctx, now.Delay)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave lets an answer pass, or loses it.
func (g *Gate) leave(ctx context.Context) error {
	g.mu.Lock()
	now := g.now
	g.mu.Unlock()
	if now.Deaf || now.Down {
		return conf.Errorf(diamond.ErrUnavailable, "the storage's answer is lost")
	}
	return delay(ctx, now.Delay)
}

func delay(ctx context.Context, longest time.Duration) error {
	if longest <= 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// through makes a call through the gate.
func through[T any](ctx context.Context, g *Gate, call func() (T, error)) (T, error) {
	var none T
	if err := g.enter(ctx); err != nil {
		return none, err
	}
	got, err := call()
	if lost := g.leave(ctx); lost != nil {
		return none, lost
	}
	return got, err
}

// Commit implements [diamond.Storage]. If the answer is lost, the outcome is unknown.
func (g *Gate) Commit(ctx context.Context, sets []diamond.ChangeSet) ([]conf.Result, error) {
	if err := g.enter(ctx); err != nil {
		return nil, err
	}
	results, err := g.store.Commit(ctx, sets)
	if lost := g.leave(ctx); lost != nil {
		return nil, conf.Errorf(diamond.ErrUnknownOutcome, "the answer to a commit is lost")
	}
	return results, err
}

// Read implements [diamond.Storage].
func (g *Gate) Read(ctx context.Context, key diamond.Key, revision int64) (diamond.Entry, error) {
	g.mu.Lock()
	g.reads++
	g.mu.Unlock()
	return through(ctx, g, func() (diamond.Entry, error) { return g.store.Read(ctx, key, revision) })
}

// Changes implements [diamond.Storage].
func (g *Gate) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (conf.Batch, error) {
	return through(ctx, g, func() (conf.Batch, error) { return g.store.Changes(ctx, after, maxBytes) })
}

// Scan implements [diamond.Storage].
func (g *Gate) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	return through(ctx, g, func() (conf.Page, error) { return g.store.Scan(ctx, req) })
}

// History implements [diamond.Storage].
func (g *Gate) History(ctx context.Context, key diamond.Key, before int64, limit int) ([]diamond.Change, error) {
	return through(ctx, g, func() ([]diamond.Change, error) { return g.store.History(ctx, key, before, limit) })
}

// PositionAt implements [diamond.Storage].
func (g *Gate) PositionAt(ctx context.Context, revision int64) (diamond.Position, error) {
	return through(ctx, g, func() (diamond.Position, error) { return g.store.PositionAt(ctx, revision) })
}

// Fork implements [diamond.Storage].
func (g *Gate) Fork(ctx context.Context, verified diamond.Position) (diamond.Position, error) {
	return through(ctx, g, func() (diamond.Position, error) { return g.store.Fork(ctx, verified) })
}

// Close implements [diamond.Storage]. It does not close the storage.
func (g *Gate) Close() error { return nil }
