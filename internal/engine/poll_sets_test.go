package engine_test

import (
	"context"
	"fmt"
	"runtime"
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

// from returns a context of a caller at an address.
func from(t *testing.T, address string) context.Context {
	return conf.WithCaller(t.Context(), conf.Caller{Address: address})
}

// made returns a poll of n keys that nobody has published.
func made(set, n int) *conf.PollRequest {
	req := &conf.PollRequest{}
	for i := range n {
		req.Keys = append(req.Keys, conf.NewKey("", fmt.Sprintf("%d.%d", set, i)).Canonical())
	}
	req.Set = conf.HashKeys(req.Keys)
	return req
}

// One address that polls ever new sets, and keeps them in use, shuts nobody out: neither
// other addresses nor clients that poll sets that it already has.
func TestPoll_OneAddressDoesNotTakeAllKeySets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Start(t, memstore.New())
		attacker := from(t, "192.0.2.1:1000")
		refused := 0
		for i := range 20 {
			req := made(i, 10_000)
			req.Wait = time.Minute
			go func() { _, _ = srv.Poll(attacker, req) }()
			synctest.Wait()
			if srv.Status().Counters.PollShed > 0 {
				refused++
			}
		}
		assert.Positive(t, refused)
		assert.LessOrEqual(t, srv.Status().SetKeys, int64(128<<10), "what one address may take")
		_, err := srv.Poll(attacker, made(1000, 10_000))
		require.ErrorIs(t, err, conf.ErrOverloaded)
		for i := range 50 {
			_, err := srv.Poll(from(t, fmt.Sprintf("192.0.2.%d:1", 2+i)), made(2000+i, 20))
			require.NoError(t, err)
		}
		_, err = srv.Poll(attacker, made(0, 10_000))
		require.NoError(t, err, "a set that is known costs nothing more")
	})
}

// Sets that nobody polls are dropped when there is no room, but not those of an address
// that holds less.
func TestPoll_UnusedKeySetsGiveWay(t *testing.T) {
	srv := servertest.Start(t, memstore.New(), diamond.WithSetKeys(1000, 300))
	small := from(t, "192.0.2.2:1")
	_, err := srv.Poll(small, made(0, 10))
	require.NoError(t, err)
	for i := range 50 {
		_, err := srv.Poll(from(t, "192.0.2.1:1"), made(1+i, 100))
		require.NoError(t, err, "it gives up its own")
	}
	known := made(0, 10)
	known.Keys = nil
	res, err := srv.Poll(small, known)
	require.NoError(t, err)
	assert.False(t, res.Resync, "the other's set is still known")
	_, err = srv.Poll(from(t, "192.0.2.1:1"), made(99, 301))
	require.ErrorIs(t, err, conf.ErrOverloaded)
	assert.ErrorContains(t, err, "from this address")
}

// A poll only names contents that cannot be loaded in time. A storage that hangs delays it
// once, and not once for each content.
func TestPoll_InlineContentsHaveOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		var set conf.ChangeSet
		req := &conf.PollRequest{Wait: time.Second}
		for i := range 20 {
			key := conf.NewKey("", fmt.Sprint(i)).Canonical()
			set.Drafts = append(set.Drafts, conf.Draft{Key: key, Content: "x"})
			req.Keys = append(req.Keys, key)
		}
		req.Set = conf.HashKeys(req.Keys)
		_, err := store.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
		srv := servertest.Start(t, hangingReads{store})
		before := runtime.NumGoroutine()
		began := time.Now()
		res, err := srv.Poll(t.Context(), req)
		require.NoError(t, err)
		assert.Len(t, res.Changed, 20)
		assert.LessOrEqual(t, time.Since(began), time.Second)
		assert.Less(t, runtime.NumGoroutine()-before, 5, "what is not waited for is not loaded")
	})
}

// A poll that ends in Resync or in an error is counted, as all others are.
func TestPoll_EveryAnswerIsCounted(t *testing.T) {
	srv := servertest.Start(t, memstore.New())
	unknown := made(0, 2)
	unknown.Keys = nil
	res, err := srv.Poll(t.Context(), unknown)
	require.NoError(t, err)
	require.True(t, res.Resync)
	wrong := made(0, 2)
	wrong.Set = conf.KeySetHash{}
	_, err = srv.Poll(t.Context(), wrong)
	require.ErrorIs(t, err, conf.ErrInvalid)
	counters := srv.Status().Counters
	assert.EqualValues(t, 1, counters.PollResync)
	assert.EqualValues(t, 1, counters.PollFailed)
}
