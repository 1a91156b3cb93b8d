package diamond_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func TestC9_Defect_C5_ColdStartWithEverythingDead(t *testing.T) {
	for name, dead := range map[string]func(*centre){
		"refused": func(c *centre) { c.fail(errDown) },
		"hanging": func(c *centre) { c.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, "a")
				local := newFiles()
				local.snapshots[conf.SlotFetched][keyA] = snapshotOf(c, keyA)
				dead(c)

				// (a) A snapshot is good enough after a second.
				client := newClient(t, c, diamond.WithLocalFiles(local))
				start := time.Now()
				config := get(t, client, keyA)
				assert.Equal(t, "a", config.Content)
				assert.Equal(t, conf.SourceSnapshot, config.Source)
				assert.True(t, config.Confirmed.IsZero())
				assert.LessOrEqual(t, time.Since(start), time.Second)

				client = newClient(t, c, diamond.WithLocalFiles(local))
				var r recorder
				sub := subscribe(t, client, keyA, &r)
				start = time.Now()
				require.NoError(t, sub.Wait(t.Context()))
				assert.LessOrEqual(t, time.Since(start), time.Second)
				assert.Equal(t, conf.SourceSnapshot, r.last().Source)

				// (b) A damaged snapshot and an override.
				local.loadErr = conf.Errorf(conf.ErrCorrupt, "set aside")
				local.overrides[keyA] = "mine"
				client = newClient(t, c, diamond.WithLocalFiles(local))
				start = time.Now()
				config = get(t, client, keyA)
				assert.Equal(t, "mine", config.Content)
				assert.Equal(t, conf.SourceOverride, config.Source)
				assert.LessOrEqual(t, time.Since(start), time.Second)

				// (c) Nothing: an error, or the default.
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				_, err := client.Get(ctx, keyB)
				require.ErrorIs(t, err, conf.ErrUnavailable)
				start = time.Now()
				value, err := diamond.Bind[map[string]int](t.Context(), client, keyB, diamond.WithDefault("json", `{"n": 1}`))
				require.NoError(t, err)
				assert.LessOrEqual(t, time.Since(start), time.Second)
				assert.Equal(t, 1, (*value.Get())["n"])
				value.Close()
			})
		})
	}
}

func TestSnapshot_OfAServerThatAnswersIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "old")
		local := newFiles()
		local.snapshots[conf.SlotFetched][keyA] = snapshotOf(c, keyA)
		c.set(keyA, "new")
		c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
			time.Sleep(900 * time.Millisecond)
			return nil, nil
		}
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		require.NoError(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		assert.Equal(t, []string{"new"}, r.contents())
	})
}

func TestSnapshot_ADeletionSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		require.NoError(t, subscribe(t, client, keyA, &recorder{}).Wait(t.Context()))
		settle()
		c.remove(keyA)
		settle()
		s, ok := local.snapshot(conf.SlotFetched, keyA)
		require.True(t, ok)
		assert.True(t, s.Deleted)
		good, ok := local.snapshot(conf.SlotLastGood, keyA)
		require.True(t, ok)
		assert.Equal(t, "a", good.Entry.Content)

		c.fail(errDown)
		client = newClient(t, c, diamond.WithLocalFiles(local))
		config, err := client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.True(t, config.Deleted)
		assert.Equal(t, conf.SourceSnapshot, config.Source)
	})
}

func TestINV4_SnapshotIsNewerThanTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "old")
		behind := newCentre()
		behind.set(keyA, "old")
		c.set(keyA, "new")
		local := newFiles()
		local.snapshots[conf.SlotFetched][keyA] = snapshotOf(c, keyA)

		client := newClient(t, behind, diamond.WithLocalFiles(local))
		var r recorder
		subscribe(t, client, keyA, &r)
		config := get(t, client, keyA)
		assert.Equal(t, "new", config.Content, "never back, restarts included")
		polls := behind.pollCount()
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"new"}, r.contents())
		assert.Less(t, behind.pollCount()-polls, 70, "no hot loop")
		behind.set(keyA, "x")
		behind.set(keyA, "newest")
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"new", "newest"}, r.contents())
	})
}

func TestD9_SnapshotOfAnEpochThatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "kept")
		kept, entry := c.position().Revision, c.entries[keyA]
		c.set(keyA, "lost a")
		c.set(keyB, "lost b")
		local := newFiles()
		local.snapshots[conf.SlotFetched][keyA] = snapshotOf(c, keyA)
		local.snapshots[conf.SlotFetched][keyB] = snapshotOf(c, keyB)
		c.fork(kept)
		c.with(func() { c.entries[keyA] = entry })

		c.fail(errDown)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"lost a"}, a.contents(), "boots from the snapshot")
		c.fail(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"lost a", "kept"}, a.contents(), "then adopts the server's epoch")
		assert.Equal(t, []string{"lost b"}, b.contents())
		assert.True(t, get(t, client, keyB).Orphaned)
		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.pollCount()-polls, 4, "no endless loop")
		s, _ := local.snapshot(conf.SlotFetched, keyA)
		assert.Equal(t, "kept", s.Entry.Content)
		assert.Equal(t, int64(2), s.Position.Epoch.Generation)
	})
}

func TestD10_SnapshotOfAnotherStoreOrKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := newCentre()
		other.at.Store = conf.StoreID{9}
		for range 10 {
			other.set(keyA, "theirs")
		}
		c := newCentre()
		c.set(keyA, "ours")
		c.set(keyB, "b")
		local := newFiles()
		local.snapshots[conf.SlotFetched][keyA] = snapshotOf(other, keyA)
		swapped := snapshotOf(c, keyB)
		local.snapshots[conf.SlotFetched][keyN(1)] = swapped

		client := newClient(t, c, diamond.WithLocalFiles(local))
		get(t, client, keyB)
		c.fail(errDown)
		_, err := client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrUnavailable, "the store is known: the snapshot is not of it")
		_, err = client.Get(t.Context(), keyN(1))
		require.ErrorIs(t, err, conf.ErrUnavailable, "another key's is never used")
		c.fail(nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "ours", get(t, client, keyA).Content, "although its revision is lower")
	})
}

// What comes in place of a rejected value is no other store's.
func TestD10_TheLastGoodSnapshotOfAnotherStoreIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := newCentre()
		other.at.Store = conf.StoreID{9}
		other.set(keyA, "theirs")
		c := newCentre()
		c.set(keyA, "bad")
		local := newFiles()
		local.snapshots[conf.SlotLastGood][keyA] = snapshotOf(other, keyA)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		r := recorder{verdict: func(config conf.Config) error {
			if config.Content == "bad" {
				return errors.New("cannot use it")
			}
			return nil
		}}
		require.Error(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		settle()
		assert.Equal(t, []string{"bad"}, r.contents())
	})
}

// Its revision is of a history that is gone: a restart must not take it for this one's.
func TestD9_AnOrphanIsNotSavedAsPresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "kept")
		kept := c.position().Revision
		c.set(keyB, "lost b")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		for _, key := range []conf.Key{keyA, keyB} {
			require.NoError(t, subscribe(t, client, key, &recorder{}).Wait(t.Context()))
		}
		settle()
		before, ok := local.snapshot(conf.SlotFetched, keyB)
		require.True(t, ok)
		c.fork(kept)
		time.Sleep(10 * time.Second)
		require.True(t, get(t, client, keyB).Orphaned)
		after, ok := local.snapshot(conf.SlotFetched, keyB)
		require.True(t, ok)
		assert.Equal(t, before.Position, after.Position)
	})
}

func TestD2_SnapshotDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "0")
		local := newFiles()
		var log logs
		client := newClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		local.mu.Lock()
		local.saveErr = conf.Errorf(conf.ErrNoSpace, "disk full")
		local.mu.Unlock()
		for i := 1; i <= 30; i++ {
			c.set(keyA, strconv.Itoa(i))
			time.Sleep(10 * time.Second)
		}
		assert.Len(t, r.contents(), 31)
		s, _ := local.snapshot(conf.SlotFetched, keyA)
		assert.Equal(t, "0", s.Entry.Content, "the old one is intact")
		assert.LessOrEqual(t, strings.Count(log.String(), "cannot be written"), 6, "a warning a minute")
		assert.NotContains(t, log.String(), "content")

		local.mu.Lock()
		local.saveErr = nil
		local.mu.Unlock()
		time.Sleep(time.Minute)
		s, _ = local.snapshot(conf.SlotFetched, keyA)
		assert.Equal(t, "30", s.Entry.Content, "written when there is space again")
	})
}

func TestD5_SlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "0")
		local := newFiles()
		local.saveDelay = 5 * time.Second
		client, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		var r recorder
		_, err = client.Subscribe(keyA, &r)
		require.NoError(t, err)
		settle()
		for i := 1; i <= 100; i++ {
			c.set(keyA, strconv.Itoa(i))
			synctest.Wait()
			require.Equal(t, strconv.Itoa(i), r.last().Content, "the listener does not wait for the disk")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, local.saveCount(), 6, "at most one pending write a key and slot")
		s, _ := local.snapshot(conf.SlotLastGood, keyA)
		assert.Equal(t, "100", s.Entry.Content)
		require.NoError(t, client.Close())
	})
}

func TestSnapshot_CloseWritesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		local := newFiles()
		client, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		get(t, client, keyA)
		require.NoError(t, client.Close())
		again, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		get(t, again, keyA)
		require.NoError(t, again.Close())
		assert.Equal(t, 1, local.saveCount(), "what is there already is not written again")
		s, ok := local.snapshot(conf.SlotFetched, keyA)
		require.True(t, ok)
		assert.Equal(t, "a", s.Entry.Content)
		_, ok = local.snapshot(conf.SlotLastGood, keyA)
		assert.False(t, ok, "nobody has judged it")

		local.saveDelay = time.Hour // a disk that hangs
		client, err = diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		c.set(keyA, "b")
		get(t, client, keyA)
		start := time.Now()
		require.NoError(t, client.Close())
		assert.LessOrEqual(t, time.Since(start), 5*time.Second)
		time.Sleep(2 * time.Hour)
	})
}

func TestD8_Defect_C7_OverrideFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "server 1")
		local := newFiles()
		var log logs
		client := newClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		mine := "mine 1"
		local.override(keyA, &mine)
		settle()
		config := get(t, client, keyA)
		assert.Equal(t, "mine 1", config.Content)
		assert.Equal(t, conf.MD5Hex("mine 1"), config.MD5)
		assert.Equal(t, "json", config.Type)
		assert.Equal(t, conf.SourceOverride, client.Status(keyA)[0].Source)
		assert.Equal(t, 1, strings.Count(log.String(), "override file is in force"))

		c.set(keyA, "server 2")
		settle()
		assert.Equal(t, "mine 1", get(t, client, keyA).Content, "the override wins")
		mine = "mine 2"
		local.override(keyA, &mine)
		settle()
		local.override(keyA, nil)
		settle()
		assert.Equal(t, "server 2", get(t, client, keyA).Content, "back to the newest of the server's")
		assert.Equal(t, []string{"server 1", "mine 1", "mine 2", "server 2"}, r.contents())
		s, _ := local.snapshot(conf.SlotFetched, keyA)
		assert.Equal(t, "server 2", s.Entry.Content, "an override is no snapshot")
		assert.Equal(t, 1, strings.Count(log.String(), "an override file is in force"), "said once")
		assert.Equal(t, 1, strings.Count(log.String(), "no longer in force"))
		assert.NotContains(t, log.String(), "mine")

		// One that is there at the start, for a key that the server does not have.
		mine = "mine b"
		local.override(keyB, &mine)
		assert.Equal(t, "mine b", get(t, client, keyB).Content)
		var b recorder
		subscribe(t, client, keyB, &b)
		settle()
		local.override(keyB, nil)
		settle()
		_, err := client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.Equal(t, []string{"mine b", "-"}, b.contents())
	})
}

func TestR7_RejectedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "good 1")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		r.verdict = func(config conf.Config) error {
			if strings.HasPrefix(config.Content, "bad") {
				return errors.New("cannot use " + config.Content)
			}
			return nil
		}
		require.NoError(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		settle()
		bad := c.set(keyA, "bad 2")
		settle()
		status := client.Status(keyA)[0]
		assert.Equal(t, bad, status.Rejected)
		assert.ErrorContains(t, status.Err, "cannot use")
		good, _ := local.snapshot(conf.SlotLastGood, keyA)
		assert.Equal(t, "good 1", good.Entry.Content, "the last good one stays on disk")
		assert.Equal(t, []conf.Report{
			{Key: keyA, Revision: bad - 1, Applied: true},
			{Key: keyA, Revision: bad, Reason: "error"},
		}, c.reported())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"good 1", "bad 2"}, r.contents(), "not tried again before there is a newer one")

		// A restart finds the bad value: it falls back to the last good one.
		again := newClient(t, c, diamond.WithLocalFiles(local))
		r2 := recorder{verdict: r.verdict}
		require.NoError(t, subscribe(t, again, keyA, &r2).Wait(t.Context()))
		assert.Equal(t, []string{"bad 2", "good 1"}, r2.contents())
		assert.Equal(t, conf.SourceSnapshot, r2.last().Source)
		assert.Equal(t, bad, again.Status(keyA)[0].Rejected)

		// Offline, too.
		c.fail(errDown)
		offline := newClient(t, c, diamond.WithLocalFiles(local))
		r3 := recorder{verdict: r.verdict}
		require.NoError(t, subscribe(t, offline, keyA, &r3).Wait(t.Context()))
		assert.Equal(t, []string{"bad 2", "good 1"}, r3.contents())

		c.fail(nil)
		c.set(keyA, "good 3")
		time.Sleep(5 * time.Second)
		assert.Equal(t, "good 3", r.last().Content)
		assert.Zero(t, client.Status(keyA)[0].Rejected)
		assert.NoError(t, client.Status(keyA)[0].Err)
		good, _ = local.snapshot(conf.SlotLastGood, keyA)
		assert.Equal(t, "good 3", good.Entry.Content)
	})
}

func TestR7_AllListenersMustApplyBeforeAValueIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "1")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		release := make(chan struct{})
		slow := recorder{verdict: func(conf.Config) error { <-release; return nil }}
		subscribe(t, client, keyA, &slow) // the other one alone would do
		subscribe(t, client, keyA, &recorder{})
		settle()
		_, ok := local.snapshot(conf.SlotLastGood, keyA)
		assert.False(t, ok)
		assert.Empty(t, c.reported())
		close(release)
		settle()
		_, ok = local.snapshot(conf.SlotLastGood, keyA)
		assert.True(t, ok)
		assert.Equal(t, []conf.Report{{Key: keyA, Revision: 1, Applied: true}}, c.reported())
	})
}

func TestReports_AreRepeatedBeforeServersForgetThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "1")
		client := newClient(t, c)
		sub := subscribe(t, client, keyA, &recorder{})
		time.Sleep(time.Minute)
		require.Len(t, c.reported(), 1)
		c.fail(errDown)
		time.Sleep(8 * time.Minute)
		c.fail(nil)
		time.Sleep(10 * time.Minute)
		n := len(c.reported())
		assert.GreaterOrEqual(t, n, 3)
		assert.LessOrEqual(t, n, 6)
		sub.Stop()
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, len(c.reported()), n+1, "not for those who do not listen any more")
	})
}

// A rejected value that is the last good one too is no way out of itself.
func TestR7_TheLastGoodValueIsNotOfferedWhereItIsTheRejectedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "bad by now")
		local := newFiles()
		local.snapshots[conf.SlotLastGood][keyA] = snapshotOf(c, keyA)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		r := recorder{verdict: func(conf.Config) error { return errors.New("refused") }}
		require.Error(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		settle()
		assert.Len(t, r.contents(), 1)
	})
}

// That a key did not exist when its listener came makes its first value no other one.
func TestR7_AFirstValueThatComesLaterFallsBackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "good")
		local := newFiles()
		local.snapshots[conf.SlotLastGood][keyA] = snapshotOf(c, keyA)
		c.remove(keyA)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		r := recorder{verdict: func(config conf.Config) error {
			if config.Content == "bad" {
				return errors.New("refused")
			}
			return nil
		}}
		require.ErrorIs(t, subscribe(t, client, keyA, &r).Wait(t.Context()), conf.ErrNotFound)
		settle()
		c.set(keyA, "bad")
		settle()
		assert.Equal(t, []string{"bad", "good"}, r.contents())
	})
}

// Who has applied the operator's value has not judged the server's.
func TestR7_WhatAnOverrideHidesIsNotGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "server")
		local := newFiles()
		local.overrides[keyA] = "mine"
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		require.NoError(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		settle()
		assert.Equal(t, []string{"mine"}, r.contents())
		_, ok := local.snapshot(conf.SlotLastGood, keyA)
		assert.False(t, ok)
		assert.Empty(t, c.reported())
	})
}
