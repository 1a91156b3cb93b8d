package engine

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/lograte"
)

const (
	// maxFeedBackoff is the longest pause of the feed after failures, unless its
	// interval is longer.
	maxFeedBackoff = 2 * time.Second
	// nudgeGap is the minimum time between two rounds of the feed that nudges ask for.
	nudgeGap = 10 * time.Millisecond
	// maxLostKeys is the maximum number of keys in the log record of a loss.
	maxLostKeys = 100
)

// feed keeps the served state up to date with the storage. Only its goroutine changes what
// is served.
type feed struct {
	log      *slog.Logger
	interval time.Duration
	storage  interface {
		Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error)
		Fork(ctx context.Context, verified conf.Position) (conf.Position, error)
	}
	reader    reader // of the storage
	served    *served
	replica   *replica // or nil if none is kept
	documents documents
	health    *health

	woken  chan struct{} // capacity 1: the feed has to read at once
	nudged chan struct{} // capacity 1: somebody outside says that there is something to read
	tasks  chan func()   // for the feed's goroutine to call

	// The goroutine's alone.
	store  conf.StoreID // whose changes are served
	lag    lagState
	obeyed time.Time // when a nudge was obeyed last

	progress     progress // to what is known to be committed
	ownCommits   ownCommits
	aheadCallers lograte.Events // callers who know a newer epoch
}

func newFeed(log *slog.Logger, interval time.Duration, storage Storage, served *served, replica *replica, health *health) *feed {
	return &feed{
		log: log, interval: interval, storage: storage, reader: reader{storage}, served: served, replica: replica,
		documents: documents{replica, reader{storage}}, health: health,
		woken: make(chan struct{}, 1), nudged: make(chan struct{}, 1), tasks: make(chan func()),
	}
}

// run keeps the server at the storage's head until ctx ends. It reads the storage at once
// when it is woken, otherwise at its interval, and with backoff while the storage fails.
// It sends the outcome of its first round to loaded.
func (f *feed) run(ctx context.Context, loaded chan<- error) {
	retry := backoff.Backoff{Base: f.interval, Cap: max(f.interval, maxFeedBackoff)}
	for before := error(nil); ; {
		err := f.advance(ctx)
		if err == nil && f.served.observers.owes() {
			err = f.served.settleObservers(f.documents.reading(ctx))
		}
		if err == nil {
			err = f.progress.stalled(f.served.state.Load())
		}
		if ctx.Err() != nil {
			return
		}
		f.health.observe(before, err)
		before = err
		select {
		case loaded <- err:
		default: // not the first round
		}
		if err != nil {
			// No nudge cuts this short: it must not add load to a storage in trouble.
			f.pause(ctx, retry.Next(0))
		} else {
			retry.Reset()
			f.idle(ctx)
		}
	}
}

// idle waits until somebody wakes or nudges the feed, or for the interval. The interval
// varies by a tenth, so that servers that share a storage do not all read it at once.
// Nudges come from outside the server. Between two rounds that they ask for there is at
// least nudgeGap.
func (f *feed) idle(ctx context.Context) {
	interval := f.interval
	timer := time.NewTimer(interval*9/10 + rand.N(interval/5+1))
	defer timer.Stop()
	for nudged := f.nudged; ; {
		select {
		case <-ctx.Done():
			return
		case <-f.woken:
			return
		case <-timer.C:
			if nudged == nil {
				f.obeyed = time.Now()
			}
			return
		case <-nudged:
			nudged = nil
			f.lag.done = time.Time{} // own commits are not enough: others' are read from the storage only
			timer.Reset(time.Until(f.obeyed.Add(nudgeGap)))
		case do := <-f.tasks:
			do()
		}
	}
}

// pause waits for d even if the feed is woken. Meanwhile it applies the server's own
// commits, for which it does not need to read the storage.
func (f *feed) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case do := <-f.tasks:
			do()
		case <-f.woken:
			if st := f.served.state.Load(); st != nil {
				f.applyOwn(st)
			}
		}
	}
}

// moveOn serves sets that follow the served state, and wakes the replica.
func (f *feed) moveOn(st *state, sets []step) *state {
	st = f.served.apply(st, sets)
	f.replica.wake() // last: nobody waits for a disk
	return st
}

// wake makes the feed read at once. It never blocks: if the feed has not taken the last
// wake yet, that one stands for both.
func (f *feed) wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// advance brings the server to the storage's head.
func (f *feed) advance(ctx context.Context) error {
	st := f.served.state.Load()
	if st == nil {
		return f.load(ctx)
	}
	st, done := f.applyOwn(st)
	if done && !f.lag.due(f.interval) {
		return nil // a busy server reads the log at its interval only, for the commits of others
	}
	f.lag.done = time.Time{}
	for {
		batch, sets, err := f.reader.changes(f.fresh(ctx), st.position)
		switch {
		case errors.Is(err, conf.ErrEpoch):
			// A storage that is only behind may be a lagging database, which gets some time,
			// unless a loss is proven.
			if isBehind(batch.Head, st.position) && !f.served.historyLost.Load() {
				if wait, err := f.lag.behind(batch.Head, st.position); wait {
					return err
				}
			}
			return f.fork(ctx, st)
		case errors.Is(err, conf.ErrCompacted):
			f.log.Warn("the storage keeps no changes that follow ours: loading all anew", "revision", st.position.Revision)
			if err = f.load(ctx); errors.Is(err, conf.ErrEpoch) {
				return f.fork(ctx, st)
			}
			return err
		case errors.Is(err, conf.ErrOtherStore):
			err = f.otherStore(err)
			f.served.withdraw(err)
			return err
		case err != nil:
			return err
		}
		st = f.moveOn(st, sets)
		if batch.Position == batch.Head {
			f.lag.toHead()
			return nil
		}
	}
}

// applyOwn serves the server's own transactions that follow what is served. All is false
// if there were none, or if one does not follow because another server has committed in
// between. Then the storage has to be read.
func (f *feed) applyOwn(st *state) (now *state, all bool) {
	batches := f.ownCommits.take()
	for _, batch := range batches {
		sets, to, err := verifySets(st.position, batch.Changes)
		if err != nil || to != batch.Position {
			return st, false
		}
		f.lag.own(st.position)
		st = f.moveOn(st, sets)
	}
	return st, len(batches) > 0
}

// claimed nudges the feed because somebody says that p is committed. P may be zero.
func (f *feed) claimed(p conf.Position) {
	if st := f.served.state.Load(); st != nil && !p.IsZero() {
		if p.Store != st.position.Store || st.reached(p) {
			return
		}
		f.progress.expect(st, p, true)
	}
	f.nudge()
}

// nudge makes the feed read soon. Like wake it never blocks. Unlike wake it is for requests
// from outside, so the feed obeys nudges at a bounded rate.
func (f *feed) nudge() {
	select {
	case f.nudged <- struct{}{}:
	default:
	}
}

// fresh returns a context for a read by the feed. The read is over a new connection if the
// feed knows that reads are behind.
func (f *feed) fresh(ctx context.Context) context.Context {
	ctx = conf.ReadForFeed(ctx)
	if !f.lag.lagging.IsZero() {
		return conf.ReadFresh(ctx)
	}
	return f.health.fresh(ctx)
}

// committed records what a transaction of this server has committed. It returns the
// position of the newest change, or zero if nothing was committed. Before is the state
// before the transaction began.
func (f *feed) committed(before *state, results []conf.Result) (newest conf.Position) {
	for i := range results {
		r := &results[i]
		if r.Err != nil || r.Replayed {
			continue
		}
		newest = r.Position
		if before != nil && newest.Epoch == before.position.Epoch && newest.Revision <= before.position.Revision {
			f.served.historyLost.Store(true) // no revision is given twice, so the storage has lost what this server has seen
		}
	}
	f.progress.expect(f.served.state.Load(), newest, false)
	f.ownCommits.add(results)
	return newest
}

// load reads everything from the storage and then serves it. Until then the server keeps
// serving what it has. If the storage is behind that, load returns ErrEpoch, because the
// server must not take back what was acknowledged.
func (f *feed) load(ctx context.Context) error {
	old := f.served.state.Load()
	next, err := f.reader.scan(conf.ReadForFeed(ctx), f.store, old)
	if err != nil {
		return err
	}
	// The pages of the scan are of different positions. With the changes since the first
	// page the state is that of one position.
	for caughtUp := false; !caughtUp; {
		batch, _, err := f.reader.changes(f.fresh(ctx), next.position)
		if err != nil {
			return err
		}
		for i := range batch.Changes {
			if c := &batch.Changes[i]; c.Op != conf.OpFork {
				next.index.put(recordOf(c))
			}
		}
		next.index.arrange()
		next.position = batch.Position
		caughtUp = batch.Position == batch.Head
	}
	if old != nil && !next.reached(old.position) {
		return conf.Errorf(conf.ErrEpoch, "the storage is at revision %d, and was at %d", next.position.Revision, old.position.Revision)
	}
	return f.startFrom(ctx, old, next)
}

// startFrom serves next, which was read from the storage or the replica, instead of old,
// which may be nil. It fails if observers have to be told of next and an entry of a system
// key cannot be read.
func (f *feed) startFrom(ctx context.Context, old, next *state) error {
	for done := false; !done; {
		system, err := f.documents.forReset(ctx, &f.served.observers, next.index.systemRecords())
		if err != nil {
			return err
		}
		done = f.served.replace(old, next, system)
	}
	f.store = next.position.Store
	f.lag.toHead()
	f.replica.wake()
	return nil
}

// fork asks the storage to begin a new epoch, because it seems to have lost history that the
// server has seen, and then loads the present state. If only the reads are behind, the
// storage itself still has that history, and begins no epoch.
func (f *feed) fork(ctx context.Context, old *state) error {
	kept, to, err := f.begin(ctx, old.position)
	if err != nil {
		return err
	}
	if to.Epoch == old.position.Epoch && to.Revision >= old.position.Revision {
		f.served.historyLost.Store(false)
		return f.lag.ahead(old.position.Revision)
	}
	if to.Compare(old.position) <= 0 {
		return conf.Errorf(conf.ErrCorrupt, "a fork at revision %d of generation %d led to revision %d of generation %d",
			old.position.Revision, old.position.Epoch.Generation, to.Revision, to.Epoch.Generation)
	}
	if err := f.load(ctx); err != nil {
		return err
	}
	lost := f.served.state.Load().lacks(old, kept)
	f.log.Error("the storage has lost changes that were committed; a new epoch begins",
		"generation", to.Epoch.Generation,
		"lost_after_revision", kept,
		"lost_up_to_revision", old.position.Revision,
		"lost_keys", len(lost),
		"keys", lost[:min(len(lost), maxLostKeys)])
	return nil
}

// begin asks the storage to begin a new epoch. It returns the newest revision up to which
// the storage still had the history that led to verified, and the storage's position now.
func (f *feed) begin(ctx context.Context, verified conf.Position) (kept int64, to conf.Position, err error) {
	ctx = conf.ReadForFeed(ctx)
	if kept, err = f.kept(ctx, verified); err != nil {
		return 0, conf.Position{}, err
	}
	to, err = f.storage.Fork(ctx, verified)
	return kept, to, err
}

// kept returns the newest revision of the history that led to verified that the storage
// still has, or 0 if none is known. It is a binary search in the trail, which asks the
// storage about one position in each step.
func (f *feed) kept(ctx context.Context, verified conf.Position) (int64, error) {
	marks := f.served.trail.all()
	var failed error // after which the storage is asked no more
	n := sort.Search(len(marks), func(i int) bool {
		if failed != nil {
			return true
		}
		p := verified
		p.Revision, p.Chain = marks[i].revision, marks[i].chain
		_, err := f.storage.Changes(ctx, p, 1)
		if errors.Is(err, conf.ErrUnavailable) {
			failed = err
		}
		return errors.Is(err, conf.ErrEpoch)
	})
	if failed != nil || n == 0 {
		return 0, failed
	}
	return marks[n-1].revision, nil
}

// startFromReplica serves what the replica holds, if anything. It returns an error if
// the replica is not one of this server.
func (f *feed) startFromReplica(ctx context.Context) error {
	local := f.replica.local
	at, err := local.At(ctx)
	if err == nil && !at.IsZero() {
		// Applying nothing shows whether local is a replica at all.
		if err = local.Apply(ctx, nil, at); errors.Is(err, conf.ErrInvalid) {
			return conf.Errorf(conf.ErrInvalid, "the replica has taken changes of its own and is no copy; give the server another directory for its replica")
		}
		if err == nil {
			err = f.serveReplica(ctx, at)
		}
	}
	switch {
	case errors.Is(err, conf.ErrClosed):
		return err
	case errors.Is(err, conf.ErrCorrupt):
		f.replica.damage(err)
	case err != nil:
		f.replica.note(err)
	}
	return nil
}

// serveReplica serves what the replica holds, which is at position at of the store.
func (f *feed) serveReplica(ctx context.Context, at conf.Position) error {
	st, err := reader{f.replica.local}.scan(ctx, f.store, nil)
	if err != nil {
		return err
	}
	// Install may bring entries that are newer than its position. Until the changes up to
	// them have been applied, the replica is not the state of any position.
	for _, place := range st.index.cells.All() {
		if r := place.Load(); isAfter(r, at) {
			return conf.Errorf(conf.ErrCorrupt, "the replica is at revision %d and holds an entry of %d: it was not completed", at.Revision, r.view())
		}
	}
	st.position = at
	f.replica.reached(at)
	if err := f.startFrom(ctx, nil, st); err != nil {
		return err
	}
	f.log.Info("serving from the replica", "revision", at.Revision, "keys", st.index.live.Load())
	return nil
}

// otherStore returns the error of a storage that is another store than the one that this
// server has served. It says what to do about it.
func (f *feed) otherStore(err error) error {
	if f.replica == nil {
		return err
	}
	return conf.Errorf(conf.ErrOtherStore, "the replica is a copy of store %v, and the storage is another store; "+
		"point the server at the storage that it had, or give it an empty directory for its replica", f.store)
}

// repair replaces have, the server's record of key, by want, unless the record has changed
// meanwhile. It fails if observers have to be told of that and an entry of a system key cannot
// be read.
func (f *feed) repair(ctx context.Context, key conf.Key, have, want *record) (err error) {
	finished := make(chan struct{})
	task := func() {
		defer close(finished)
		for done := false; !done && err == nil; {
			var system *[]conf.Change
			if st := f.served.state.Load(); st != nil && key.System() {
				system, err = f.documents.forReset(ctx, &f.served.observers, withRecord(st.index.systemRecords(), key, want))
			}
			done = err == nil && f.served.replaceRecord(key, have, want, system)
		}
	}
	select { // the feed's goroutine alone changes what is served
	case f.tasks <- task:
		<-finished
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
