package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
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

// The storage was failed over without its tail: revisions 101 to 110 are other changes
// now. The server notices, logs the loss and begins a new epoch, and all clients end with
// the state of the storage.
func TestS10_FailoverThatLostTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		srv := servertest.Serve(t, swap, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for i := range 100 {
			srv.Publish(fmt.Sprintf("key-%d", i%10), fmt.Sprint("old ", i))
		}
		for i := range 9 {
			srv.Publish(fmt.Sprintf("key-%d", i), "secret lost content")
		}
		at := srv.Publish("only-in-the-tail", "lost")
		require.EqualValues(t, 110, at.Revision)
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "unrelated"))

		// A replica that stopped at 100 is promoted, and written to by others first.
		replica := &servertest.Clocked{Store: servertest.WithoutTail(t, first, 100)}
		replica.Reached, _ = replica.At(t.Context())
		for i := range 10 {
			_, err := replica.Commit(t.Context(), []conf.ChangeSet{setOf(fmt.Sprintf("key-%d", i), "new")})
			require.NoError(t, err)
		}
		swap.set(replica)

		resp := <-answer
		assert.True(t, resp.Resync, "all learn of it, whatever keys they wait for")
		assert.EqualValues(t, at.Epoch.Generation+1, resp.Position.Epoch.Generation)
		assert.EqualValues(t, 111, resp.Position.Revision, "above all that was seen")
		for i := range 10 {
			assert.Equal(t, "new", srv.MustFetch(fmt.Sprintf("key-%d", i)).Entry.Content)
		}
		gone := srv.MustFetch("only-in-the-tail")
		assert.False(t, gone.Found)
		assert.Positive(t, gone.Position.Compare(at), "the absence is of the new epoch")

		full := servertest.PollFor(conf.Position{}, 0, "key-0", "key-9", "only-in-the-tail")
		full.Held = []conf.Held{held("key-0", 101, "secret lost content"), held("key-9", 110, "new"), held("only-in-the-tail", 110, "lost")}
		assert.ElementsMatch(t, []string{"key-0", "only-in-the-tail"}, names(srv.MustPoll(full)),
			"the same revision with another content is another value")
		assert.EqualValues(t, 1, srv.Status().Counters.Forks)
		require.NoError(t, srv.Close())
		assert.Contains(t, log.String(), "lost_after_revision=100 lost_up_to_revision=110 lost_keys=10")
		assert.Contains(t, log.String(), "only-in-the-tail")
		assert.NotContains(t, log.String(), "secret")
	})
}

// failsOnce is a storage that cannot be reached when it is first asked for what
// follows a revision between two.
type failsOnce struct {
	diamond.Storage
	above, below int64
	failed       atomic.Bool
}

func (s *failsOnce) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	if after.Revision > s.above && after.Revision < s.below && !s.failed.Swap(true) {
		return conf.Batch{}, conf.Errorf(conf.ErrUnavailable, "cut off")
	}
	return s.Storage.Changes(ctx, after, maxBytes)
}

// If the storage cannot say how much was lost, the server does not guess but asks again.
func TestS10_WhatWasLostIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		srv := servertest.Serve(t, swap, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for i := range 110 {
			srv.Publish("a", fmt.Sprint("old ", i))
		}
		replica := promoted(t, first, 100)
		for i := range 10 {
			_, err := replica.Commit(t.Context(), []conf.ChangeSet{setOf("a", fmt.Sprint("new ", i))})
			require.NoError(t, err)
		}
		failing := &failsOnce{Storage: replica, above: 100, below: 110}
		swap.set(failing)
		time.Sleep(time.Minute)
		require.True(t, failing.failed.Load())
		require.EqualValues(t, 1, srv.Status().Counters.Forks)
		require.NoError(t, srv.Close())
		assert.Contains(t, log.String(), "lost_after_revision=100 lost_up_to_revision=110 lost_keys=1")
	})
}

// The storage was restored while the server was down, so that nobody could notice. A
// client that has seen more must start again, and does not end with a mix of both
// histories.
func TestS11_RestoredWhileTheServerWasDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		before := servertest.Serve(t, first)
		var at conf.Position
		for i := range 10 {
			at = before.Publish("a", fmt.Sprint("old ", i))
		}
		replica := &servertest.Clocked{Store: servertest.WithoutTail(t, first, 5)}
		replica.Reached, _ = replica.At(t.Context())
		srv := servertest.Serve(t, replica)
		assert.Equal(t, "old 4", srv.MustFetch("a").Entry.Content)
		_, err := srv.Poll(t.Context(), servertest.PollFor(at, 0, "a"))
		require.ErrorIs(t, err, conf.ErrBehind)
		for i := range 7 {
			srv.Publish("b", fmt.Sprint("new ", i))
		}
		resp := srv.MustPoll(servertest.PollFor(at, 0, "a"))
		assert.True(t, resp.Resync, "its position has another chain here")
		full := servertest.PollFor(conf.Position{}, 0, "a")
		full.Held = []conf.Held{held("a", 10, "old 9")}
		assert.Equal(t, []string{"a"}, names(srv.MustPoll(full)))
	})
}

// A set is committed to a storage that has lost its tail before the server has noticed.
// It is acknowledged once it can be read, and not at once because its revision is old.
func TestCommitToAStorageThatLostItsTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		storage := troubledBy(swap)
		srv := servertest.Serve(t, storage)
		for i := range 10 {
			srv.Publish("a", fmt.Sprint("old ", i))
		}
		replica := &servertest.Clocked{Store: servertest.WithoutTail(t, first, 5)}
		replica.Reached, _ = replica.At(t.Context())
		storage.set(func(op string) error {
			if op == "changes" {
				time.Sleep(100 * time.Millisecond) // so that it is not noticed at once
			}
			return nil
		}, nil)
		swap.set(replica)
		at := srv.Publish("a", "new")
		assert.EqualValues(t, 6, at.Revision)
		assert.Equal(t, "new", srv.MustFetch("a").Entry.Content)
		assert.EqualValues(t, 1, srv.Status().Counters.Forks)
	})
}

// Another server's fork arrives in the feed. Nothing that this server served was lost, but
// all clients must learn of the epoch.
func TestForkMadeByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		srv := servertest.Serve(t, store)
		at := srv.Publish("a", "1")
		answer := srv.Parked(servertest.PollFor(at, time.Minute, "a"))
		begun := time.Now()
		to, err := store.Fork(t.Context(), conf.Position{})
		require.NoError(t, err)
		resp := <-answer
		assert.Less(t, time.Since(begun), 5*time.Second, "at once, and not when the poll would have ended")
		assert.True(t, resp.Resync)
		assert.Equal(t, to, resp.Position)
		assert.EqualValues(t, 1, srv.Status().Counters.Forks)
		full := servertest.PollFor(conf.Position{}, time.Second, "a")
		full.Held = []conf.Held{held("a", 1, "1")}
		assert.Empty(t, srv.MustPoll(full).Changed, "what is held is still right")
		assert.Equal(t, "1", srv.MustFetch("a").Entry.Content)

		for _, namespace := range []string{"elsewhere", "", conf.AllNamespaces} {
			changes, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: at, Namespace: namespace, Group: "none", Prefix: "none"})
			require.NoError(t, err)
			require.Len(t, changes.Changes, 1, "a fork passes every filter")
			assert.Equal(t, conf.OpFork, changes.Changes[0].Op)
		}
		srv.Publish("a", "2")
		assert.Equal(t, "2", srv.MustFetch("a").Entry.Content)
	})
}

// Both histories have the same content at the same revision, but with another type.
func TestS10_SameContentOfAnotherType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		srv := servertest.Serve(t, swap)
		typed := func(typ string) conf.ChangeSet {
			set := setOf("a", "1")
			set.Drafts[0].Type, set.Drafts[0].Meta = typ, map[string]string{"by": typ}
			return set
		}
		_, err := srv.CommitSet(typed("text"))
		require.NoError(t, err)
		srv.Publish("b", "lost")
		replica := &servertest.Clocked{Store: servertest.WithoutTail(t, first, 0), Skew: time.Second}
		replica.Reached, _ = replica.At(t.Context())
		replica.Reached.Store, replica.Reached.Epoch = srv.Status().Position.Store, srv.Status().Position.Epoch
		_, err = replica.Commit(t.Context(), []conf.ChangeSet{typed("json")})
		require.NoError(t, err)
		swap.set(replica)
		time.Sleep(time.Minute)
		got := srv.MustFetch("a").Entry
		assert.Equal(t, "json", got.Type)
		assert.Equal(t, map[string]string{"by": "json"}, got.Meta)
	})
}

// A server that has to load everything again, from a storage that is behind what it has
// served, continues in a new epoch and never goes back.
func TestS10_LoadingAnewNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		swap := &swapped{}
		swap.set(first)
		storage := troubledBy(swap)
		srv := servertest.Serve(t, storage)
		for i := range 10 {
			srv.Publish("a", fmt.Sprint("old ", i))
		}
		at := srv.Status().Position
		var compacted atomic.Bool
		storage.set(func(op string) error {
			if op == "changes" && !compacted.Swap(true) {
				return conf.Errorf(conf.ErrCompacted, "what follows went")
			}
			return nil
		}, nil)
		swap.set(promoted(t, first, 5))
		time.Sleep(time.Minute)
		require.True(t, compacted.Load())
		now := srv.Status()
		assert.EqualValues(t, 1, now.Counters.Forks)
		assert.Positive(t, now.Position.Compare(at))
		assert.Equal(t, "old 4", srv.MustFetch("a").Entry.Content)
	})
}
