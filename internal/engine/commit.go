package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/failpoint"
	"github.com/linnaname/gdiamond/internal/groupcommit"
)

const (
	// The limits of one transaction: sets, changes, and bytes of content. A single set may
	// have more bytes. A transaction must be short, because other servers wait for its end.
	maxBatchSets    = 256
	maxBatchChanges = 4 * conf.MaxChanges
	maxBatchBytes   = 8 << 20
	// maxQueueBytes is the maximum number of bytes of content that wait to be committed.
	maxQueueBytes = 256 << 20
	// feedGrace is the time for which the publishers of a batch wait together until the feed
	// has served it. After that each waits by itself.
	feedGrace = time.Second
)

// committer commits the change sets of publishers. One transaction commits all sets that
// arrived during the previous one. The committer answers a publisher when a read from this
// server would show what was committed. One goroutine runs it.
type committer struct {
	storage interface {
		Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error)
		Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error)
	}
	served *served
	feed   *feed
	health *health

	queue       *groupcommit.Queue[*conf.ChangeSet, conf.Result]
	subscribers subscribers
}

// queued is a change set on its way.
type queued = groupcommit.Item[*conf.ChangeSet, conf.Result]

func newCommitter(storage Storage, maxInflight int, feed *feed) *committer {
	return &committer{
		storage: storage,
		served:  feed.served,
		feed:    feed,
		health:  feed.health,
		queue: groupcommit.New[*conf.ChangeSet, conf.Result](groupcommit.Limits{
			Inflight: maxInflight, QueueBytes: maxQueueBytes,
			BatchItems: maxBatchSets, BatchChanges: maxBatchChanges, BatchBytes: maxBatchBytes,
		}, groupcommit.Errors{
			Closed:   closedError,
			TooMany:  func(inflight int) error { return overloaded("%d commits are in flight", inflight) },
			TooLarge: func(bytes int64) error { return overloaded("%d bytes wait to be committed", bytes) },
		}),
	}
}

// run commits one batch after another, until the queue is closed and all publishers have
// been answered.
func (c *committer) run(ctx context.Context) {
	var answering sync.WaitGroup
	defer answering.Wait()
	for {
		batch := c.queue.Next()
		if batch == nil {
			return
		}
		c.commitBatch(ctx, batch, &answering)
	}
}

// commitBatch commits a batch. Its context is not that of a publisher, because a publisher
// that leaves must not end the commits of the others. Another goroutine answers the
// publishers, while this one commits the next batch.
func (c *committer) commitBatch(ctx context.Context, batch []*queued, answering *sync.WaitGroup) {
	begun := time.Now()
	sets := make([]conf.ChangeSet, len(batch))
	for i, item := range batch {
		sets[i] = *item.Value
	}
	before := c.served.state.Load()
	results, err := c.write(ctx, sets)
	if len(batch) > 1 && ofOneSet(err) {
		for i := range batch {
			c.commitBatch(ctx, batch[i:i+1], answering)
		}
		return
	}
	if err == nil {
		// Before the publishers are answered, so that other servers do not wait for this one.
		c.subscribers.announce(c.feed.committed(before, results))
	}
	c.queue.End(len(batch), time.Since(begun))
	answering.Go(func() {
		if err == nil {
			c.catchUp(ctx, results)
		}
		for i, item := range batch {
			if err != nil {
				item.Finish(conf.Result{Err: err})
			} else {
				item.Finish(results[i])
			}
		}
	})
}

// ofOneSet reports whether a transaction may have failed because of one of its sets, as
// when the row of a key is damaged: the other sets must not fail with it. A full disk
// fails them all, and trying each would only take time.
func ofOneSet(err error) bool {
	return errors.Is(err, conf.ErrCorrupt) || errors.Is(err, conf.ErrTooLarge)
}

// catchUp waits until the server shows the sets that were committed, and the changes that
// the others conflicted with, so that a publisher that gets a conflict can read its cause.
// It gives up after feedGrace. Then each publisher waits by itself.
func (c *committer) catchUp(ctx context.Context, results []conf.Result) {
	ctx, cancel := context.WithTimeout(ctx, feedGrace)
	defer cancel()
	var newest conf.Position
	failed := false
	for i := range results {
		failed = failed || results[i].Err != nil
		if p := results[i].Position; p.Compare(newest) > 0 {
			newest = p
		}
	}
	if failed {
		if batch, _ := c.storage.Changes(conf.ReadForFeed(ctx), c.served.position(), 1); batch.Head.Compare(newest) > 0 {
			newest = batch.Head
		}
	}
	if st := c.served.state.Load(); st == nil || !c.served.shows(newest)(st) {
		c.feed.wake()
		_ = c.served.await(ctx, c.served.shows(newest))
	}
}

// write commits sets in one transaction.
func (c *committer) write(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	results, err := c.storage.Commit(ctx, sets)
	if err = storageErr(ctx, err); err == nil && len(results) != len(sets) { // the storage breaks its contract
		err = conf.Errorf(conf.ErrUnknownOutcome, "the storage gave %d results for %d sets", len(results), len(sets))
	}
	c.health.wrote(err)
	if err != nil {
		c.feed.wake() // the sets may be committed all the same
		return nil, err
	}
	failpoint.Hit("server.afterCommitBeforeNotify")
	return results, nil
}

// ready returns an error if nothing can be committed at present.
func (c *committer) ready() error {
	if _, err := c.served.serving(); err != nil {
		return err
	}
	if !c.health.known() { // it may be another store
		return unavailable("the storage has not been read since the server was started; only reads are served")
	}
	return nil
}

// commit commits a valid set, and returns when a read from here would show it.
func (c *committer) commit(ctx context.Context, set *conf.ChangeSet) (conf.Result, error) {
	var bytes int64
	for i := range set.Drafts {
		bytes += int64(len(set.Drafts[i].Content))
	}
	item, err := c.queue.Add(set, set.Len(), bytes)
	if err != nil {
		return conf.Result{}, err
	}
	defer c.queue.Leave()
	select {
	case <-item.Done():
	case <-ctx.Done():
		if c.queue.Remove(item) {
			return conf.Result{}, ctx.Err() // nothing was done
		}
		select {
		case <-item.Done(): // just now
		default:
			return conf.Result{}, outcomeUnknown(ctx, ctx.Err())
		}
	}
	result := item.Result()
	if result.Err != nil {
		return conf.Result{}, result.Err
	}
	// It is committed. Say so only when a read from here would show it.
	waiting, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	if err := c.served.await(waiting, c.served.shows(result.Position)); err != nil {
		return conf.Result{}, outcomeUnknown(ctx, err)
	}
	return result, nil
}
