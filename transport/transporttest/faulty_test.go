package transporttest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// A program's behaviour when its server is lost can be tested without one.
func ExampleFaulty() {
	store := memstore.New()
	defer func() { _ = store.Close() }()
	srv, err := diamond.NewServer(store)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()

	faulty := transporttest.NewFaulty(srv) // give it to diamond.NewClient
	ctx := context.Background()
	commit := &conf.CommitRequest{Set: conf.ChangeSet{
		RequestID: "once",
		Drafts:    []conf.Draft{{Key: conf.NewKey("", "greeting"), Content: "hello"}},
	}}

	faulty.DropAnswers()
	_, err = faulty.Commit(ctx, commit)
	fmt.Println(errors.Is(err, conf.ErrUnknownOutcome))

	faulty.Heal()
	res, err := faulty.Commit(ctx, commit)
	fmt.Println(res.Replayed, err)
	// Output:
	// true
	// true <nil>
}

func newFaulty(t *testing.T) (*transporttest.Faulty, diamond.Server) {
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	return transporttest.NewFaulty(srv), srv
}

func fetch(ctx context.Context, f *transporttest.Faulty) error {
	_, err := f.Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", "k")})
	return err
}

func commit(ctx context.Context, f *transporttest.Faulty) error {
	_, err := f.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", "k"), Content: "x"}}}})
	return err
}

func TestFaulty_Fail(t *testing.T) {
	f, srv := newFaulty(t)
	f.Fail(conf.ErrOverloaded)
	require.ErrorIs(t, commit(t.Context(), f), conf.ErrOverloaded)
	assert.Zero(t, srv.Status().Keys, "it was not passed on")
	f.Heal()
	require.NoError(t, commit(t.Context(), f))
	made, answered := f.Calls()
	assert.Equal(t, 2, made)
	assert.Equal(t, 1, answered)
}

func TestFaulty_Delay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFaulty(t)
		f.Delay(3 * time.Second)
		started := time.Now()
		require.NoError(t, fetch(t.Context(), f))
		assert.Equal(t, 3*time.Second, time.Since(started))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, fetch(ctx, f), context.DeadlineExceeded)
	})
}

func TestFaulty_Partition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, srv := newFaulty(t)
		polled := make(chan error, 1)
		keys := []conf.Key{conf.NewKey("", "k")}
		go func() {
			_, err := f.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Wait: 30 * time.Second})
			polled <- err
		}()
		synctest.Wait()
		f.Partition()
		f.Partition() // twice is once
		started := time.Now()
		assert.ErrorIs(t, fetch(t.Context(), f), conf.ErrUnavailable)
		assert.Equal(t, 5*time.Second, time.Since(started))
		assert.ErrorIs(t, <-polled, conf.ErrUnavailable, "one under way is lost too")
		assert.Equal(t, 35*time.Second, time.Since(started))
		assert.Zero(t, srv.Status().Waiters)

		healed := make(chan error, 1)
		go func() { healed <- commit(t.Context(), f) }()
		synctest.Wait()
		f.Heal()
		assert.ErrorIs(t, <-healed, conf.ErrUnavailable, "it was never sent")
		require.NoError(t, commit(t.Context(), f))
	})
}
