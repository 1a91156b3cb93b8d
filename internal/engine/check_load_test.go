package engine_test

import (
	"context"
	"fmt"
	"strings"
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

// retypeMany gives the entries of the first n keys of [served.publishMany] another
// type by hand.
func (s *edited) retypeMany(n int) {
	s.edit(func() {
		for i := range n {
			s.entry[fmt.Sprintf("0-%05d", i)] = func(e *conf.Entry) bool { e.Type = "edited"; return true }
		}
	})
}

// One damaged row among 6,000 is found by the first check that meets it, though
// thousands of keys that sort before it change all the time, and none of these is
// taken for damaged.
func TestS23_DamageIsFoundUnderWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		storage := editedOf(store)
		srv := checked(t, storage, &log, diamond.WithSelfCheck(5*time.Second))
		srv.PublishMany(0, 0, 6_000)
		srv.Publish("zz-edited", "good")
		time.Sleep(checkTime)
		stop := srv.Busily(250 * time.Millisecond)
		storage.edit(func() {
			storage.entry["zz-edited"] = func(e *conf.Entry) bool { e.MD5 = conf.MD5Hex("evil"); return true }
		})
		before := srv.Status().Counters
		time.Sleep(checkTime)
		stop()
		status := srv.Status()
		assert.Equal(t, 1, status.Divergent)
		assert.EqualValues(t, 1, status.Counters.Divergences-before.Divergences, log.String())
		assert.Positive(t, status.Counters.Checks-before.Checks)
		require.NoError(t, status.CheckErr)
	})
}

// The same for the replica, which is behind all the time.
func TestS23_DamagedReplicaIsFoundUnderWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store, inner := memstore.New(), memstore.New()
		defer store.Close()
		local := editedOf(inner)
		srv := checked(t, store, &log, diamond.WithReplica(&editedReplica{local, inner}))
		srv.PublishMany(0, 0, 6_000)
		srv.Publish("zz-damaged", "good")
		time.Sleep(checkTime)
		require.Zero(t, srv.Status().Counters.Divergences, log.String())
		stop := srv.Busily(500 * time.Millisecond)
		local.edit(func() {
			local.entry["zz-damaged"] = func(e *conf.Entry) bool { e.Type = "x"; return true }
		})
		time.Sleep(checkTime)
		stop()
		assert.EqualValues(t, 1, srv.Status().Counters.Divergences, log.String())
		assert.EqualValues(t, 2, srv.Status().Replica.Installs)
	})
}

// More keys are damaged than one check examines. The check says so and is not completed,
// and the next checks examine the rest until all are reported.
func TestS23_MoreDamageThanOneCheckLooksAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		storage := editedOf(store)
		srv := checked(t, storage, &log)
		const damaged = 2500
		srv.PublishMany(0, 0, damaged)
		time.Sleep(checkTime)
		checks := srv.Status().Counters.Checks
		storage.retypeMany(damaged)
		const oneCheck = 60 * time.Second // a thousand keys, with its pauses
		time.Sleep(oneCheck)
		status := srv.Status()
		assert.Equal(t, 1000, status.Divergent)
		require.ErrorIs(t, status.CheckErr, conf.ErrCorrupt)
		assert.ErrorContains(t, status.CheckErr, "the next check goes on")
		assert.LessOrEqual(t, status.Counters.Checks, checks+1, "it is not completed")
		time.Sleep(3 * oneCheck)
		status = srv.Status()
		assert.Equal(t, damaged, status.Divergent)
		assert.EqualValues(t, damaged, status.Counters.Divergences, "each is told once")
		require.NoError(t, status.CheckErr)
		storage.edit(func() { clear(storage.entry) })
		time.Sleep(3 * oneCheck)
		assert.Zero(t, srv.Status().Divergent)
	})
}

// damagedHistory is a storage that cannot read what its log says of some keys.
type damagedHistory struct {
	*edited
	keys map[string]bool // by data id
	away atomic.Bool     // nor can it be reached then
}

func (s *damagedHistory) History(ctx context.Context, key conf.Key, before int64, limit int) ([]conf.Change, error) {
	switch {
	case s.away.Load():
		return nil, conf.Errorf(conf.ErrUnavailable, "cut off")
	case s.keys[key.DataID]:
		return nil, conf.Errorf(conf.ErrCorrupt, "a row is damaged")
	}
	return s.edited.History(ctx, key, before, limit)
}

// A key whose history is damaged and cannot be read keeps a check from being completed.
// The same check still finds all other differences, in the storage and in the replica.
func TestS23_DamagedHistoryHidesNoOtherDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store, inner := memstore.New(), memstore.New()
		defer store.Close()
		storage := &damagedHistory{edited: editedOf(store), keys: make(map[string]bool)}
		disk := troubledBy(inner)
		local := editedOf(disk)
		srv := checked(t, storage, &log, diamond.WithReplica(&editedReplica{local, inner}))
		const keys = 100
		srv.PublishMany(0, 0, keys)
		time.Sleep(checkTime)
		require.Zero(t, srv.Status().Counters.Divergences, log.String())
		for i := 0; i < keys; i += 2 {
			storage.keys[fmt.Sprintf("0-%05d", i)] = true
		}
		storage.retypeMany(keys)
		local.retypeMany(1)
		time.Sleep(10 * time.Second) // one check or two
		status := srv.Status()
		assert.Equal(t, keys/2, status.Divergent)
		require.ErrorIs(t, status.CheckErr, conf.ErrCorrupt)
		assert.EqualValues(t, 2, status.Replica.Installs)

		disk.fail(conf.Errorf(conf.ErrUnavailable, "the disk is away"), "scan")
		time.Sleep(time.Minute)
		err := srv.Status().CheckErr
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, err, conf.ErrCorrupt, "what the copy does not say hides it neither")
	})
}

// If more contents differ than one check examines, the next check examines the rest,
// although it reads other contents.
func TestS23_MoreContentsThanOneCheckLooksAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		storage := editedOf(store)
		srv := checked(t, storage, &log, diamond.WithSelfCheck(time.Hour))
		const damaged, large = 1500, 5 // in all more than one check reads
		for i := range damaged {
			srv.Publish(fmt.Sprintf("a-%05d", i), strings.Repeat("x", 10<<10))
		}
		for i := range large {
			srv.Publish(fmt.Sprint("b-", i), strings.Repeat("x", 1<<20))
		}
		storage.edit(func() {
			for i := range damaged {
				storage.content[fmt.Sprintf("a-%05d", i)] = "edited"
			}
		})
		until := func(completed bool) {
			for (srv.Status().CheckErr == nil) != completed {
				time.Sleep(time.Second)
			}
		}
		until(false)
		require.Equal(t, 1000, srv.Status().Divergent)
		until(true)
		assert.Equal(t, damaged, srv.Status().Divergent)
	})
}

// A check that cannot continue reports the differences that it has found.
func TestS23_CheckCutShortTellsWhatItFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		storage := &damagedHistory{edited: editedOf(store)}
		srv := checked(t, storage, &log)
		const keys = 1000
		srv.PublishMany(0, 0, keys)
		time.Sleep(checkTime)
		storage.retypeMany(keys)
		time.Sleep(10 * time.Second)
		storage.away.Store(true)
		time.Sleep(time.Second)
		status := srv.Status()
		require.ErrorIs(t, status.CheckErr, conf.ErrUnavailable)
		assert.Positive(t, status.Divergent)
		assert.Less(t, status.Divergent, keys)
		assert.EqualValues(t, status.Counters.Divergences, status.Divergent)
	})
}

// lateScan is a storage whose pages are old when they come.
type lateScan struct {
	diamond.Storage
	after func() // called between the read of a page and its return
}

func (s *lateScan) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	page, err := s.Storage.Scan(ctx, req)
	s.after()
	return page, err
}

// Keys of a page that are deleted before it is compared, and whose tombstones are dropped
// because so many are deleted, are no differences.
func TestINV13_NoFalseAlarmForKeysThatWereForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		const keys = 13_000 // more than the tombstones that are kept, and than one page
		var armed atomic.Bool
		storage := troubledBy(&lateScan{store, func() {
			if !armed.CompareAndSwap(true, false) {
				return
			}
			for from := 0; from < keys; from += conf.MaxChanges {
				var gone conf.ChangeSet
				for i := range conf.MaxChanges {
					gone.Deletes = append(gone.Deletes, conf.Delete{Key: conf.NewKey("", fmt.Sprintf("0-%05d", from+i))})
				}
				_, err := store.Commit(context.Background(), []conf.ChangeSet{gone})
				assert.NoError(t, err)
			}
			time.Sleep(5 * time.Second) // in which the server sees it
		}})
		srv := checked(t, storage, &log, diamond.WithSelfCheck(time.Hour))
		srv.PublishMany(0, 0, keys)
		armed.Store(true)
		time.Sleep(2 * time.Hour)
		require.False(t, armed.Load())
		status := srv.Status()
		assert.Positive(t, status.Counters.Checks)
		assert.Zero(t, status.Counters.Divergences, log.String())
		assert.Zero(t, storage.count("history"), "none is even suspected")
		require.NoError(t, status.CheckErr)
	})
}

// Thousands of publishes and deletions a second are no differences, whatever
// they do to the keys of a page between its read and its comparison.
func TestINV13_NoFalseAlarmsUnderThousandsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		store := memstore.New()
		defer store.Close()
		slow := troubledBy(store)
		slow.set(func(op string) error {
			if op == "scan" {
				time.Sleep(30 * time.Millisecond)
			}
			return nil
		}, nil)
		srv, peer := checked(t, slow, &log, diamond.WithSelfCheck(5*time.Second)), servertest.Serve(t, store)
		stop := peer.Busily(200 * time.Millisecond)
		for i := range 12 { // more deletions than tombstones are kept
			peer.PublishMany(1, i*1000, 1000)
			var gone conf.ChangeSet
			for j := range 1000 {
				gone.Deletes = append(gone.Deletes, conf.Delete{Key: conf.NewKey("", fmt.Sprintf("1-%05d", i*1000+j))})
			}
			_, err := peer.CommitSet(gone)
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		looked := slow.count("history")
		stop()
		status := srv.Status()
		assert.Positive(t, status.Counters.Checks)
		assert.Zero(t, status.Counters.Divergences, log.String())
		assert.Zero(t, looked, "none is even suspected")
		require.NoError(t, status.CheckErr)
	})
}
