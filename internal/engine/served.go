package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/internal/waitset"
)

// served holds everything that a server serves from memory: the present state, the changes
// that led to it, and the waiters for the next one. It knows no storage. Only the feed's
// goroutine changes it.
type served struct {
	log        *slog.Logger
	ungoverned bool // the public door is open although the store is governed

	// state is what is served, or nil while the server is not ready. Successive states
	// share an index, which changes in place. A reader that holds the read lock of mu sees
	// the index and the floor of exactly one state, the present one; see [served.stable].
	// Only the feed's goroutine writes, in four places:
	//
	//   - apply puts the records of a batch, then stores the state that has them,
	//     all under the lock.
	//   - replace stores a state with another index. The one before stays as it was.
	//   - replaceRecord repairs a record, and stores a state, under the lock.
	//   - trim stores a state with a higher floor under the lock, and only then
	//     deletes tombstones at or below that floor, without it: no reader with the
	//     lock still has a state that needs them.
	//
	// (withdraw stores nil.) A reader without the lock has to look twice. A record above
	// the position of its state belongs to a state that is about to be stored. A key that is
	// absent may have been deleted and forgotten since: see [served.lookup], and for many
	// keys [served.lookupAll], which checks whether the floor has moved.
	//
	// The first three also tell the observers of what they are about to store.
	state     atomic.Pointer[state]
	mu        sync.RWMutex
	observers observers

	contents    *contents
	recent      recent      // what was served last
	trail       trail       // of the present epoch
	historyLost atomic.Bool // the storage is known to have lost history

	keyWaiters *waitset.Set[conf.Key]   // waiters for changes of some keys
	moved      *waitset.Group[struct{}] // waiters for any change of the state
	wakeups    atomic.Uint64            // of waiters for keys
	forks      atomic.Uint64            // changes of epoch
	refused    lograte.Events           // by the public door of a governed store

	closed  atomic.Bool // no request is taken
	stopped atomic.Bool // the feed has ended: nothing changes any more
}

func newServed(log *slog.Logger, contents *contents) *served {
	return &served{log: log, contents: contents, keyWaiters: waitset.New[conf.Key](), moved: waitset.New[struct{}]().Join(nil)}
}

// snapshot returns the present state, or nil if there is none, and the records of exactly
// that state that are not tombstones, in key order. It delays nobody, because it does not
// hold the lock while it reads: an undo log has the records that were replaced meanwhile.
// Only one goroutine may call it at a time.
func (s *served) snapshot() (*state, []*record) {
	s.mu.Lock()
	st := s.state.Load()
	if st == nil {
		s.mu.Unlock()
		return nil, nil
	}
	undo := &undoLog{replaced: make(map[conf.Key]*record)}
	st.index.undo = undo
	cells := st.index.order.Snapshot()
	s.mu.Unlock()

	var all []*record
	for place := range cells.All() {
		all = append(all, place.Load())
	}

	s.mu.Lock()
	st.index.undo = nil
	s.mu.Unlock()
	records := all[:0]
	for _, r := range all {
		if old, ok := undo.replaced[r.Key]; ok {
			r = old
		}
		if !r.deleted {
			records = append(records, r)
		}
	}
	return st, records
}

// serving returns the present state, or an error if nothing can be served.
func (s *served) serving() (*state, error) {
	if s.closed.Load() {
		return nil, closedError()
	}
	st := s.state.Load()
	if st == nil {
		return nil, unavailable("not ready: the index is not loaded")
	}
	return st, nil
}

func (s *served) position() conf.Position {
	if st := s.state.Load(); st != nil {
		return st.position
	}
	return conf.Position{}
}

// lookup returns the record of key, or nil if there is none, and the state of which that
// is true. It takes no lock unless a batch that has the key is being applied.
func (s *served) lookup(st *state, key conf.Key) (*state, *record) {
	r, ok := st.pick(st.index.get(key))
	// A record at or below the position was the newest when it was read, so it was also the
	// newest at the position. An absence must be looked at twice, because the tombstone of a
	// later deletion may have come and gone.
	if ok && (r != nil || st == s.state.Load()) {
		return st, r
	}
	s.stable(func(now *state) {
		st = now
		r, _ = now.pick(now.index.get(key))
	})
	return st, r
}

// lookupAll calls look, which picks the records of many keys, and returns the state of
// which its findings are true, or nil if nothing is served. It tries st first, unless
// that is nil. If look returns false, or tombstones may have gone while it looked,
// lookupAll calls it again with a later state. It takes no lock unless a batch that has
// one of the keys is being applied.
func (s *served) lookupAll(st *state, look func(*state) (ok bool)) *state {
	if st != nil && look(st) {
		if now := s.state.Load(); now != nil && now.floor == st.floor {
			return st
		}
	}
	st = nil
	s.stable(func(now *state) {
		st = now
		look(now)
	})
	return st
}

// stable calls read with the present state while no batch is being applied, so that its
// index has no record above its position. It is the slow way; see [served.lookup].
func (s *served) stable(read func(*state)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if st := s.state.Load(); st != nil {
		read(st)
	}
}

// record returns the server's record of key, and the state that it is of.
func (s *served) record(key conf.Key) (st *state, r *record) {
	s.stable(func(now *state) { st, r = now, now.index.get(key) })
	return st, r
}

// apply serves sets that follow the present state, a few at a time so that nobody waits
// long for the first of them.
func (s *served) apply(st *state, sets []step) *state {
	for len(sets) > 0 {
		n, changes := 1, len(sets[0].changes)
		for n < len(sets) && changes+len(sets[n].changes) <= conf.MaxChanges {
			changes += len(sets[n].changes)
			n++
		}
		st = s.trim(s.applyFew(st, sets[:n]))
		sets = sets[n:]
	}
	return st
}

// applyFew changes the index, then stores the state with the new position, and then wakes the
// waiters for the keys. In this order a waiter that has been woken always finds the change,
// and a reader never finds a position whose changes the index does not have.
func (s *served) applyFew(st *state, sets []step) *state {
	next := &state{
		index: st.index, position: sets[len(sets)-1].to, floor: st.floor,
		since: st.position.Revision, applied: time.Now(),
	}
	s.observers.mu.Lock()
	forked := next.position.Epoch != st.position.Epoch
	if changes := systemChanges(sets); forked || len(changes) > 0 {
		s.observers.tell(Observation{Changes: changes, Position: next.position})
	}
	s.mu.Lock()
	for c := range changesOf(sets) {
		r := recordOf(c)
		if !r.deleted {
			s.contents.put(r, c.Content)
		}
		if old, ok := st.index.put(r); !ok {
			s.contents.drop(r) // the scan was ahead of the changes
		} else if old != nil {
			s.contents.drop(old)
		}
	}
	st.index.arrange()
	s.recent.add(sets)
	s.store(st, next)
	s.mu.Unlock()
	s.observers.mu.Unlock()

	if forked {
		s.trail.restart(next.position)
		s.forks.Add(1)
		s.historyLost.Store(false)
		s.log.Warn("the store's history forked after all that this server had seen",
			"generation", next.position.Epoch.Generation, "revision", next.position.Revision)
		s.wakeAll() // all must learn of the epoch
	} else {
		s.trail.add(sets)
		woken := s.keyWaiters.Wake(func(yield func(conf.Key) bool) {
			changesOf(sets)(func(c *conf.Change) bool { return yield(c.Key) })
		})
		s.wakeups.Add(uint64(woken))
		s.moved.Wake()
		if next.governed && !st.governed {
			s.wakeAll() // the public door is closed now
		}
	}
	return next
}

// store stores next instead of old, which may be nil. The caller holds mu.
func (s *served) store(old, next *state) {
	next.governed = !next.index.get(Marker).absent()
	s.state.Store(next)
	switch {
	case !next.governed || old != nil && old.governed:
	case s.ungoverned:
		s.log.Warn("the store is governed, and this server was told to ignore that: everybody may read and change everything")
	}
}

// open returns the error for a request by the public door, if that is closed, and logs it: a
// Centre asks nothing there, so whoever does has none.
func (s *served) open() error {
	err := s.public()
	if err != nil {
		if others, ok := s.refused.LogOnceIn(time.Minute); ok {
			s.log.Warn("a request was refused: the store is governed, and was not asked through a centre that knows the rights", "unlogged", others)
		}
	}
	return err
}

// public returns an error if the public door is closed, because the store is governed.
func (s *served) public() error {
	if st := s.state.Load(); st == nil || !st.governed || s.ungoverned {
		return nil
	}
	return unavailable("the store is governed: it is served only through a centre that knows the rights, or by a server that is told to ignore them")
}

// trim drops some of the oldest tombstones if there are too many, in the order that
// [served] prescribes.
func (s *served) trim(st *state) *state {
	n := st.index.surplus()
	if n == 0 {
		return st
	}
	next := *st
	next.floor = st.index.tombs[n-1].view
	s.mu.Lock()
	s.state.Store(&next)
	s.mu.Unlock()
	st.index.forget(n)
	return &next
}

// replace serves next instead of old, which may be nil. System are the entries of system keys
// in next, which the observers are told. If system is nil and there are observers, replace
// does nothing and returns false.
func (s *served) replace(old, next *state, system *[]conf.Change) bool {
	next.since, next.applied = next.position.Revision, time.Now()
	s.observers.mu.Lock()
	if !s.observers.reset(system, next.position) {
		s.observers.mu.Unlock()
		return false
	}
	s.mu.Lock()
	s.recent.restart(next.position)
	s.store(old, next)
	s.mu.Unlock()
	s.observers.mu.Unlock()
	s.trail.restart(next.position)
	if old != nil {
		for key, place := range old.index.cells.All() {
			if r := place.Load(); next.index.get(key) != r {
				s.contents.drop(r)
			}
		}
		if old.position.Epoch != next.position.Epoch {
			s.forks.Add(1)
			s.historyLost.Store(false)
		}
	}
	s.wakeAll()
	return true
}

// replaceRecord replaces have, the present record of key, by want, unless the record has
// changed since. Either may be nil. System are the entries of system keys after that, which
// the observers are told. If system is nil, key is a system key, and there are observers,
// replaceRecord does nothing and returns false.
func (s *served) replaceRecord(key conf.Key, have, want *record, system *[]conf.Change) bool {
	st := s.state.Load()
	if st == nil || st.index.get(key) != have {
		return true
	}
	s.observers.mu.Lock()
	if key.System() && !s.observers.reset(system, st.position) {
		s.observers.mu.Unlock()
		return false
	}
	s.mu.Lock()
	st.index.set(key, want)
	next := *st // another state, so that shared answers of the old one are not used any more
	s.store(st, &next)
	s.mu.Unlock()
	s.observers.mu.Unlock()
	if have != nil {
		s.contents.drop(have)
	}
	s.keyWaiters.Wake(func(yield func(conf.Key) bool) { yield(key) })
	s.moved.Wake()
	if next.governed != st.governed {
		s.wakeAll()
	}
	return true
}

// observeTries is the number of times that the entries of a state are read without the lock
// of the observers, while changes of system keys come in between.
const observeTries = 3

// settleObservers tells the observers that have not been told of a state of the present one,
// if there is one. Read returns the entries of records.
func (s *served) settleObservers(read func([]*record) ([]conf.Change, error)) error {
	for try := 1; ; try++ {
		done, err := s.trySettle(read, try > observeTries)
		if done || err != nil {
			return err
		}
	}
}

// trySettle reads the entries of the present state, and tells the observers of them unless
// system keys have changed meanwhile. If hold is set, none can: the feed waits.
func (s *served) trySettle(read func([]*record) ([]conf.Change, error), hold bool) (done bool, err error) {
	s.observers.mu.Lock()
	defer s.observers.mu.Unlock()
	st := s.state.Load()
	if st == nil {
		return true, nil
	}
	records, serial := st.index.systemRecords(), s.observers.serial
	var system []conf.Change
	if hold {
		system, err = read(records)
	} else {
		s.observers.mu.Unlock()
		system, err = read(records)
		s.observers.mu.Lock()
	}
	if s.observers.serial != serial {
		return false, nil // whatever was read is of a state of before
	}
	if st = s.state.Load(); err == nil && st != nil {
		s.observers.settle(Observation{Reset: true, Changes: system, Position: st.position})
	}
	return true, err
}

// withdraw makes the server not ready, because the storage is another store.
func (s *served) withdraw(err error) {
	s.log.Error("the storage is another store now: not serving", "err", err)
	s.state.Store(nil)
	s.wakeAll()
}

// wakeAll makes all waiters compare again.
func (s *served) wakeAll() {
	s.keyWaiters.WakeAll()
	s.moved.Wake()
}

// reach waits until the server has reached p.
func (s *served) reach(ctx context.Context, p conf.Position) error {
	return s.await(ctx, func(st *state) bool { return st.reached(p) })
}

// await waits until good returns true for the present state. It goes on while the server
// is being closed, until the feed has ended.
func (s *served) await(ctx context.Context, good func(*state) bool) error {
	return s.awaitOr(ctx, nil, good)
}

// awaitOr is await that ends without an error when void, which may be nil, is closed.
func (s *served) awaitOr(ctx context.Context, void <-chan struct{}, good func(*state) bool) error {
	for {
		wake := make(chan struct{})
		waiter := s.moved.Wait(func() { close(wake) }) // first register, then look
		stopped, st := s.stopped.Load(), s.state.Load()
		if st != nil && good(st) {
			waiter.Cancel()
			return nil
		}
		if stopped || st == nil {
			waiter.Cancel()
			return unavailable("the server has nothing to serve")
		}
		select {
		case <-ctx.Done():
			waiter.Cancel()
			return ctx.Err()
		case <-void:
			waiter.Cancel()
			return nil
		case <-wake:
		}
	}
}

// shows returns a function that reports whether a state has what was committed at p. If
// the storage has lost its tail, the server may know another change at that revision:
// then only the next epoch has p.
func (s *served) shows(p conf.Position) func(*state) bool {
	return func(st *state) bool {
		return st.reached(p) && (st.position.Epoch != p.Epoch || !s.historyLost.Load() && !s.trail.contradicts(p))
	}
}
