package diamond

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/failpoint"
	"github.com/linnaname/gdiamond/internal/seeded"
)

// feedGrace is how long a batch waits together for the feed to have it.
const feedGrace = time.Second

// commitLoop commits batch after batch until the queue is closed, and all have
// been answered.
func (s *server) commitLoop(ctx context.Context) {
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		batch := s.commits.next()
		if batch == nil {
			return
		}
		s.commitBatch(ctx, batch, &answering)
	}
}

// commitBatch commits a batch under a context that is no publisher's. While it
// is answered the next one is committed.
func (s *server) commitBatch(ctx context.Context, batch []*commit, answering *sync.WaitGroup) {
	begun := time.Now()
	sets := make([]ChangeSet, len(batch))
	for i, c := range batch {
		sets[i] = *c.set
	}
	before := s.state.Load()
	results, err := s.write(ctx, sets)
	if len(batch) > 1 && ofOneSet(err) {
		for i := range batch {
			s.commitBatch(ctx, batch[i:i+1], answering)
		}
		return
	}
	if err == nil {
		s.subscribers.announce(s.committed(before, results))
	}
	s.commits.end(len(batch), time.Since(begun))
	answering.Go(func() {
		if err == nil {
			s.catchUp(ctx, results)
		}
		for i, c := range batch {
			if err != nil {
				c.finish(Result{Err: err})
			} else {
				c.finish(results[i])
			}
		}
	})
}

// ofOneSet reports whether a transaction has failed for what one of its sets is
// about, such as a key whose row is damaged: the others must not fail with it. A
// full disk is not that, and each further try would take its time.
func ofOneSet(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) }

// catchUp has the feed read what results speak of: the sets that were
// committed, and whatever it was that others met, so that who is told of a
// conflict can read its reason. A feed that cannot is not waited for: each
// publisher then waits on its own.
func (s *server) catchUp(ctx context.Context, results []Result) {
	ctx, cancel := context.WithTimeout(ctx, feedGrace)
	defer cancel()
	var newest Position
	failed := false
	for i := range results {
		failed = failed || results[i].Err != nil
		if p := results[i].Position; p.Compare(newest) > 0 {
			newest = p
		}
	}
	if failed {
		if batch, _ := s.storage.Changes(readForFeed(ctx), s.position(), 1); batch.Head.Compare(newest) > 0 {
			newest = batch.Head
		}
	}
	if st := s.state.Load(); st == nil || !s.shows(newest)(st) {
		s.wake()
		_ = s.await(ctx, s.shows(newest))
	}
}

func (s *server) write(ctx context.Context, sets []ChangeSet) ([]Result, error) {
	results, err := s.storage.Commit(ctx, sets)
	if err = storageErr(ctx, err); err == nil && len(results) != len(sets) {
		err = Errorf(ErrUnknownOutcome, "the storage gave %d results for %d sets", len(results), len(sets))
	}
	s.wrote(err)
	if err != nil {
		s.wake() // whatever became of it
		return nil, err
	}
	failpoint.Hit("server.afterCommitBeforeNotify")
	return results, nil
}

// Commit implements [Transport].
func (s *server) Commit(ctx context.Context, req *CommitRequest) (*CommitResponse, error) {
	result, err := s.commit(ctx, &req.Set)
	s.counters.outcome(err)
	if err != nil {
		var key Key
		if req.Set.Len() == 1 {
			key = onlyKey(&req.Set)
		}
		return nil, answerError(ctx, "commit", key, err)
	}
	return &CommitResponse{Position: result.Position, Replayed: result.Replayed}, nil
}

func (s *server) commit(ctx context.Context, asked *ChangeSet) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if _, err := s.serving(); err != nil {
		return Result{}, err
	}
	if !s.health.known() { // it may be another store
		return Result{}, unavailable("the storage has not been read since the server was started; only reads are served")
	}
	set := asked.Canonical()
	set.Caller = CallerFrom(ctx)
	if err := set.Validate(s.cfg.maxContent); err != nil {
		return Result{}, err
	}
	if err := set.refuseSystem(); err != nil {
		return Result{}, err
	}
	c, err := s.commits.add(set)
	if err != nil {
		return Result{}, err
	}
	defer s.commits.leave()
	if seeded.AckBeforeCommit {
		next := s.position()
		next.Revision++
		return Result{Position: next}, nil
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if s.commits.remove(c) {
			return Result{}, ctx.Err() // nothing was done
		}
		select {
		case <-c.done: // just now
		default:
			return Result{}, outcomeUnknown(ctx, ctx.Err())
		}
	}
	if c.result.Err != nil {
		return Result{}, c.result.Err
	}
	// It is committed. Say so only when a read from here would show it.
	reading, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	if err := s.await(reading, s.shows(c.result.Position)); err != nil {
		return Result{}, outcomeUnknown(ctx, err)
	}
	return c.result, nil
}
