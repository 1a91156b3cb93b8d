package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func setOf(dataID, content string) conf.ChangeSet {
	return conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", dataID), Content: content}}}
}

// The sets that arrive during one transaction are committed in the next, together with the
// sets of publishers that have just been answered.
func TestCommitsAreGrouped(t *testing.T) {
	t.Run("of publishers that come back at once", func(t *testing.T) { commitsAreGrouped(t, 0, 1.5) })
	t.Run("of publishers that are a network away", func(t *testing.T) { commitsAreGrouped(t, time.Millisecond, 1.5) })
	t.Run("of publishers that take their time", func(t *testing.T) { commitsAreGrouped(t, 4*time.Millisecond, 2.5) })
}

func commitsAreGrouped(t *testing.T, away time.Duration, mostARound float64) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		storage.set(func(op string) error {
			if op == "commit" {
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		}, nil)
		const publishers, rounds = 64, 20
		start := time.Now()
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for r := range rounds {
					srv.Publish(fmt.Sprintf("key-%d", p), fmt.Sprintf("value %d", r))
					time.Sleep(away)
				}
			})
		}
		all.Wait()
		transactions := storage.count("commit")
		t.Logf("%d change sets in %d transactions, %v of storage's time", publishers*rounds, transactions, time.Since(start))
		assert.LessOrEqual(t, float64(transactions), rounds*mostARound, "most are full, or halves")
		assert.EqualValues(t, publishers*rounds, srv.Status().Counters.Committed)
		assert.EqualValues(t, publishers*rounds, srv.Status().Position.Revision)

		time.Sleep(5 * time.Millisecond) // who comes back would be there
		start = time.Now()
		srv.Publish("alone", "1")
		srv.Publish("alone", "2")
		assert.Equal(t, 10*time.Millisecond, time.Since(start), "a lone publisher waits for nobody")
	})
}

// A set that fails takes nothing from the others in its transaction.
func TestCommitOutcomesAreEachSetsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		srv.Publish("a", "1")
		release := make(chan struct{})
		storage.set(func(op string) error {
			if op == "commit" {
				<-release
			}
			return nil
		}, nil)
		type outcome struct {
			at  conf.Position
			err error
		}
		start := func(set conf.ChangeSet) <-chan outcome {
			done := make(chan outcome, 1)
			go func() {
				at, err := srv.CommitSet(set)
				done <- outcome{at, err}
			}()
			synctest.Wait()
			return done
		}
		first := start(setOf("first", "1"))
		stale := setOf("a", "2")
		stale.Drafts[0].IfRevision = conf.Revision(9)
		conflict := start(stale)
		nothing := start(conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("", "never")}}})
		good := start(setOf("b", "1"))
		close(release)

		require.NoError(t, (<-first).err)
		lost := (<-conflict).err
		require.ErrorIs(t, lost, conf.ErrConflict)
		var e *conf.Error
		require.ErrorAs(t, lost, &e)
		assert.EqualValues(t, 1, e.Current, "so that the caller can look and try again")
		assert.Equal(t, conf.NewKey("", "a"), e.Key)
		assert.Equal(t, "commit", e.Op)
		require.ErrorIs(t, (<-nothing).err, conf.ErrNotFound)
		assert.EqualValues(t, 3, (<-good).at.Revision)
		assert.Equal(t, 3, storage.count("commit"))
		c := srv.Status().Counters
		assert.Equal(t, []uint64{3, 1, 1, 0, 0, 0}, []uint64{c.Committed, c.Conflict, c.Refused, c.Failed, c.Unknown, c.Shed})
	})
}

// A set that the storage cannot commit, because a row of its key is damaged or because of
// its size, does not make the sets fail that arrived with it.
func TestCommitFailsWithoutTheOthers(t *testing.T) {
	for _, want := range []error{conf.ErrCorrupt, conf.ErrTooLarge} {
		synctest.Test(t, func(t *testing.T) {
			storage := troubledBy(&poisoned{memstore.New(), want})
			srv := servertest.Serve(t, storage)
			release := make(chan struct{})
			storage.set(func(op string) error {
				if op == "commit" {
					<-release
				}
				return nil
			}, nil)
			outcomes := map[string]chan error{}
			for _, id := range []string{"first", "before", poisonedID, "after"} {
				done := make(chan error, 1)
				outcomes[id] = done
				go func() {
					_, err := srv.CommitSet(setOf(id, "1"))
					done <- err
				}()
				synctest.Wait()
			}
			close(release)
			require.ErrorIs(t, <-outcomes[poisonedID], want)
			for _, id := range []string{"first", "before", "after"} {
				require.NoError(t, <-outcomes[id], id)
				assert.Equal(t, "1", srv.MustFetch(id).Entry.Content)
			}
			assert.Equal(t, 5, storage.count("commit"), "alone, together, each by itself")
		})
	}
}

// poisoned is a storage that fails every transaction that has a certain key.
type poisoned struct {
	*memstore.Store
	err error
}

const poisonedID = "poisoned"

func (s *poisoned) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	for i := range sets {
		if sets[i].Drafts[0].Key.DataID == poisonedID {
			return nil, conf.Errorf(s.err, "of one key")
		}
	}
	return s.Store.Commit(ctx, sets)
}

func TestCommit_RefusedSetsNeverReachTheStorage(t *testing.T) {
	storage := troubledBy(memstore.New())
	srv := servertest.Serve(t, storage, diamond.WithMaxContent(100))
	system := conf.Key{Namespace: "_roles", DataID: "admin"}
	for name, c := range map[string]struct {
		set  conf.ChangeSet
		want error
		says string
	}{
		"nothing":      {conf.ChangeSet{}, conf.ErrInvalid, "change set"},
		"bad key":      {setOf("../x", "1"), conf.ErrInvalid, "dataId"},
		"blank":        {setOf("a", " \n"), conf.ErrInvalid, "content"},
		"too large":    {setOf("a", strings.Repeat("x", 101)), conf.ErrTooLarge, "101"},
		"system draft": {conf.ChangeSet{Drafts: []conf.Draft{{Key: system, Content: "x"}}}, conf.ErrDenied, "namespace"},
		"system drop":  {conf.ChangeSet{Deletes: []conf.Delete{{Key: system}}}, conf.ErrDenied, "namespace"},
		"system check": {conf.ChangeSet{Drafts: setOf("a", "1").Drafts, Checks: []conf.Check{{Key: system}}}, conf.ErrDenied, "namespace"},
	} {
		_, err := srv.CommitSet(c.set)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.says, name)
	}
	assert.Zero(t, storage.count("commit"), "nothing of it reached the storage")
	assert.EqualValues(t, 7, srv.Status().Counters.Refused)
}

func TestCommitTakesTheProvenCaller(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	ctx := conf.WithCaller(t.Context(), conf.Caller{Principal: conf.Principal{Name: "ann"}, Address: "10.0.0.1:99"})
	set := setOf("a", "1")
	set.Caller.Principal.Name = "root"
	_, err := srv.Commit(ctx, &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	h, err := srv.History(t.Context(), &conf.HistoryRequest{Key: conf.NewKey("", "a")})
	require.NoError(t, err)
	assert.Equal(t, "ann", h.Changes[0].Author.Name)
	assert.Equal(t, "10.0.0.1:99", h.Changes[0].Address)
}

// A publisher that leaves while its set is queued has changed nothing. One that leaves
// during the transaction cannot know.
func TestC16_CommitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		release := make(chan struct{})
		storage.set(func(op string) error {
			if op == "commit" {
				<-release
			}
			return nil
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		commit := func(dataID string) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := srv.Commit(ctx, &conf.CommitRequest{Set: setOf(dataID, "1")})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		taken, queued := commit("taken"), commit("queued")
		assert.Equal(t, 2, srv.Status().Inflight)
		cancel()
		synctest.Wait()
		err := <-taken
		require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.Canceled)
		err = <-queued
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
		close(release)
		synctest.Wait()
		assert.True(t, srv.MustFetch("taken").Found)
		assert.False(t, srv.MustFetch("queued").Found)
		assert.Zero(t, srv.Status().Inflight)
	})
}

func TestCommitsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage, diamond.WithLimits(10, 3))
		release := make(chan struct{})
		storage.set(func(op string) error {
			if op == "commit" {
				<-release
			}
			return nil
		}, nil)
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() { srv.Publish(fmt.Sprint("k", i), "1") })
		}
		synctest.Wait()
		_, err := srv.CommitSet(setOf("one.too.many", "1"))
		require.ErrorIs(t, err, conf.ErrOverloaded)
		var e *conf.Error
		require.ErrorAs(t, err, &e)
		assert.Positive(t, e.RetryAfter)
		close(release)
		all.Wait()
		srv.Publish("again", "1")
		assert.EqualValues(t, 1, srv.Status().Counters.Shed)
	})
}

// An unknown outcome is never reported as another one.
func TestS3_UnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		storage.set(nil, func(string) error { return conf.Errorf(conf.ErrUnknownOutcome, "the answer was lost") })
		set := setOf("a", "1")
		set.RequestID = "r1"
		_, err := srv.CommitSet(set)
		require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		synctest.Wait()
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content, "what has happened is served")
		storage.heal()
		resp, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: set})
		require.NoError(t, err)
		assert.True(t, resp.Replayed, "sent again, it settles the matter")
		assert.EqualValues(t, 1, resp.Position.Revision)
	})
}

// A commit that cannot be read back yet is neither acknowledged nor denied.
func TestCommitWithoutFeedIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		storage.silent = true
		srv := servertest.Serve(t, storage)
		storage.fail(conf.Errorf(conf.ErrUnavailable, "no reads"), "changes")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := srv.Commit(ctx, &conf.CommitRequest{Set: setOf("a", "1")})
		require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		done := make(chan conf.Position, 1)
		go func() { done <- srv.Publish("b", "2") }()
		time.Sleep(3 * time.Second)
		storage.heal()
		assert.EqualValues(t, 2, (<-done).Revision, "told once it can be read")
		assert.Equal(t, "2", srv.MustFetch("b").Entry.Content)
	})
}

// Close during publishes: each is committed and acknowledged, or an error.
func TestL8_CloseDuringPublishes(t *testing.T) {
	for delay := range 40 {
		synctest.Test(t, func(t *testing.T) {
			store := memstore.New()
			defer store.Close()
			storage := troubledBy(store)
			storage.set(func(op string) error {
				if op == "commit" {
					time.Sleep(7 * time.Millisecond)
				}
				return nil
			}, nil)
			s, err := diamond.NewServer(storage)
			require.NoError(t, err)
			srv := &servertest.Served{Server: s, T: t}
			var all sync.WaitGroup
			acked, errs := make([]bool, 50), make([]error, 50)
			for i := range acked {
				all.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					_, err := srv.CommitSet(setOf(fmt.Sprintf("key-%d", i), "1"))
					acked[i], errs[i] = err == nil, err
					if err != nil && !errors.Is(err, conf.ErrClosed) {
						assert.ErrorIs(t, err, conf.ErrUnknownOutcome)
					}
				})
			}
			time.Sleep(time.Duration(delay) * time.Millisecond)
			require.NoError(t, srv.Close())
			all.Wait()
			for i, ok := range acked {
				_, err := store.Read(t.Context(), conf.NewKey("", fmt.Sprintf("key-%d", i)), 0)
				if ok {
					require.NoError(t, err, "acknowledged, and lost")
				} else {
					require.ErrorIs(t, err, conf.ErrNotFound, "refused, and committed: %d %v", i, errs[i])
				}
			}
		})
	}
}

// unanswering is a storage that answers no commit.
type unanswering struct{ *memstore.Store }

func (*unanswering) Commit(ctx context.Context, _ []conf.ChangeSet) ([]conf.Result, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Close does not wait for long for a storage that does not answer, because a supervisor
// would kill the program.
func TestCloseWhileStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		s, err := diamond.NewServer(&unanswering{store})
		require.NoError(t, err)
		srv := &servertest.Served{Server: s, T: t}
		result := make(chan error, 1)
		go func() {
			_, err := srv.CommitSet(setOf("a", "1"))
			result <- err
		}()
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, srv.Close())
		assert.LessOrEqual(t, time.Since(begun), 6*time.Second)
		err = <-result
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.ErrorContains(t, err, "before the server was closed")
	})
}

func TestServerAfterClose(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	at := srv.Publish("a", "1")
	require.NoError(t, srv.Close())
	require.NoError(t, srv.Close(), "a second time does nothing")
	ctx, k := t.Context(), conf.NewKey("", "a")
	for op, call := range map[string]func() error{
		"fetch":   func() error { _, err := srv.Fetch(ctx, &conf.FetchRequest{Key: k}); return err },
		"poll":    func() error { _, err := srv.Poll(ctx, servertest.PollFor(at, time.Minute, "a")); return err },
		"commit":  func() error { _, err := srv.CommitSet(setOf("a", "2")); return err },
		"changes": func() error { _, err := srv.Changes(ctx, &conf.ChangesRequest{}); return err },
		"list":    func() error { _, err := srv.List(ctx, &conf.ListRequest{}); return err },
		"history": func() error { _, err := srv.History(ctx, &conf.HistoryRequest{Key: k}); return err },
		"report":  func() error { _, err := srv.Report(ctx, &conf.ReportRequest{}); return err },
	} {
		err := call()
		require.ErrorIs(t, err, conf.ErrClosed, op)
		var e *conf.Error
		require.ErrorAs(t, err, &e, op)
		assert.Equal(t, op, e.Op)
	}
	assert.False(t, srv.Status().Ready)
}

// A publisher without a deadline is not kept waiting for ever by a feed that
// cannot read, and neither is its place among the commits in flight.
func TestCommitWithoutFeedOrDeadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		storage.silent = true
		srv := servertest.Serve(t, storage)
		storage.fail(conf.Errorf(conf.ErrUnavailable, "no reads"), "changes")
		done := make(chan error, 1)
		go func() {
			_, err := srv.CommitSet(setOf("a", "1"))
			done <- err
		}()
		time.Sleep(time.Hour)
		select {
		case err := <-done:
			require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		default:
			assert.Fail(t, "still waiting after an hour")
		}
		assert.Zero(t, srv.Status().Inflight)
		storage.heal()
	})
}

// A publish whose caller leaves while it is in the queue was not done, and is no
// failure of the storage.
func TestCommit_CanceledInTheQueueIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hangingCommits{Storage: memstore.New(), release: make(chan struct{})}
		srv := servertest.Start(t, store)
		commit := func(ctx context.Context, key string) error {
			_, err := srv.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{
				Drafts: []conf.Draft{{Key: conf.NewKey("", key), Content: "x"}},
			}})
			return err
		}
		first := make(chan error)
		go func() { first <- commit(t.Context(), "a") }()
		synctest.Wait()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		require.ErrorIs(t, commit(ctx, "b"), context.DeadlineExceeded)
		close(store.release)
		require.NoError(t, <-first)
		counters := srv.Status().Counters
		assert.EqualValues(t, 1, counters.Canceled)
		assert.Zero(t, counters.Failed)
	})
}

// hangingCommits is a storage of which commits wait to be released.
type hangingCommits struct {
	diamond.Storage
	release chan struct{}
}

func (s *hangingCommits) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	<-s.release
	return s.Storage.Commit(ctx, sets)
}
