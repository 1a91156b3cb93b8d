package follower_test

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
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestC9_Defect_C5_ColdStartWithEverythingDead(t *testing.T) {
	for name, dead := range map[string]func(*clienttest.Centre){
		"refused": func(c *clienttest.Centre) { c.Fail(clienttest.ErrDown) },
		"hanging": func(c *clienttest.Centre) { c.Hang() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "a")
				local := clienttest.NewFiles()
				local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
				dead(c)

				// (a) A snapshot is good enough after a second.
				client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				start := time.Now()
				config := clienttest.Get(t, client, clienttest.KeyA)
				assert.Equal(t, "a", config.Content)
				assert.Equal(t, conf.SourceSnapshot, config.Source)
				assert.True(t, config.Confirmed.IsZero())
				assert.LessOrEqual(t, time.Since(start), time.Second)

				client = clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				var r clienttest.Recorder
				sub := clienttest.Subscribe(t, client, clienttest.KeyA, &r)
				start = time.Now()
				require.NoError(t, sub.Wait(t.Context()))
				assert.LessOrEqual(t, time.Since(start), time.Second)
				assert.Equal(t, conf.SourceSnapshot, r.Last().Source)

				// (b) A damaged snapshot and an override.
				local.LoadErr = conf.Errorf(conf.ErrCorrupt, "set aside")
				local.Overrides[clienttest.KeyA] = "mine"
				client = clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				start = time.Now()
				config = clienttest.Get(t, client, clienttest.KeyA)
				assert.Equal(t, "mine", config.Content)
				assert.Equal(t, conf.SourceOverride, config.Source)
				assert.LessOrEqual(t, time.Since(start), time.Second)

				// (c) Nothing: an error, or the default.
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				_, err := client.Get(ctx, clienttest.KeyB)
				require.ErrorIs(t, err, conf.ErrUnavailable)
				start = time.Now()
				value, err := diamond.Bind[map[string]int](t.Context(), client, clienttest.KeyB, diamond.WithDefaultContent("json", `{"n": 1}`))
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
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "old")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		c.Set(clienttest.KeyA, "new")
		c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
			time.Sleep(900 * time.Millisecond)
			return nil, nil
		}
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		assert.Equal(t, []string{"new"}, r.Contents())
	})
}

func TestSnapshot_ADeletionSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{}).Wait(t.Context()))
		clienttest.Settle()
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		s, ok := local.Snapshot(conf.SlotFetched, clienttest.KeyA)
		require.True(t, ok)
		assert.True(t, s.Deleted)
		good, ok := local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		require.True(t, ok)
		assert.Equal(t, "a", good.Entry.Content)

		c.Fail(clienttest.ErrDown)
		client = clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		config, err := client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.True(t, config.Deleted)
		assert.Equal(t, conf.SourceSnapshot, config.Source)
	})
}

func TestINV4_SnapshotIsNewerThanTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "old")
		behind := clienttest.NewCentre()
		behind.Set(clienttest.KeyA, "old")
		c.Set(clienttest.KeyA, "new")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)

		client := clienttest.NewClient(t, behind, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		config := clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, "new", config.Content, "never back, restarts included")
		polls := behind.PollCount()
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"new"}, r.Contents())
		assert.Less(t, behind.PollCount()-polls, 70, "no hot loop")
		behind.Set(clienttest.KeyA, "x")
		behind.Set(clienttest.KeyA, "newest")
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"new", "newest"}, r.Contents())
	})
}

func TestD9_SnapshotOfAnEpochThatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "kept")
		kept, entry := c.Position().Revision, c.Entries[clienttest.KeyA]
		c.Set(clienttest.KeyA, "lost a")
		c.Set(clienttest.KeyB, "lost b")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		local.Snapshots[conf.SlotFetched][clienttest.KeyB] = clienttest.SnapshotOf(c, clienttest.KeyB)
		c.Fork(kept)
		c.With(func() { c.Entries[clienttest.KeyA] = entry })

		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"lost a"}, a.Contents(), "boots from the snapshot")
		c.Fail(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"lost a", "kept"}, a.Contents(), "then adopts the server's epoch")
		assert.Equal(t, []string{"lost b"}, b.Contents())
		assert.True(t, clienttest.Get(t, client, clienttest.KeyB).Orphaned)
		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.PollCount()-polls, 4, "no endless loop")
		s, _ := local.Snapshot(conf.SlotFetched, clienttest.KeyA)
		assert.Equal(t, "kept", s.Entry.Content)
		assert.Equal(t, int64(2), s.Position.Epoch.Generation)
	})
}

func TestD10_SnapshotOfAnotherStoreOrKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := clienttest.NewCentre()
		other.At.Store = conf.StoreID{9}
		for range 10 {
			other.Set(clienttest.KeyA, "theirs")
		}
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "ours")
		c.Set(clienttest.KeyB, "b")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(other, clienttest.KeyA)
		swapped := clienttest.SnapshotOf(c, clienttest.KeyB)
		local.Snapshots[conf.SlotFetched][clienttest.KeyN(1)] = swapped

		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		clienttest.Get(t, client, clienttest.KeyB)
		c.Fail(clienttest.ErrDown)
		_, err := client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrUnavailable, "the store is known: the snapshot is not of it")
		_, err = client.Get(t.Context(), clienttest.KeyN(1))
		require.ErrorIs(t, err, conf.ErrUnavailable, "another key's is never used")
		c.Fail(nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "ours", clienttest.Get(t, client, clienttest.KeyA).Content, "although its revision is lower")
	})
}

// The value that replaces a rejected one is never of another store.
func TestD10_TheLastGoodSnapshotOfAnotherStoreIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := clienttest.NewCentre()
		other.At.Store = conf.StoreID{9}
		other.Set(clienttest.KeyA, "theirs")
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "bad")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotLastGood][clienttest.KeyA] = clienttest.SnapshotOf(other, clienttest.KeyA)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		r := clienttest.Recorder{Verdict: func(config conf.Config) error {
			if config.Content == "bad" {
				return errors.New("cannot use it")
			}
			return nil
		}}
		require.Error(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		clienttest.Settle()
		assert.Equal(t, []string{"bad"}, r.Contents())
	})
}

// The revision of an orphan is of a lost history, so a restart must not take it for one of
// the present history.
func TestD9_AnOrphanIsNotSavedAsPresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "kept")
		kept := c.Position().Revision
		c.Set(clienttest.KeyB, "lost b")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		for _, key := range []conf.Key{clienttest.KeyA, clienttest.KeyB} {
			require.NoError(t, clienttest.Subscribe(t, client, key, &clienttest.Recorder{}).Wait(t.Context()))
		}
		clienttest.Settle()
		before, ok := local.Snapshot(conf.SlotFetched, clienttest.KeyB)
		require.True(t, ok)
		c.Fork(kept)
		time.Sleep(10 * time.Second)
		require.True(t, clienttest.Get(t, client, clienttest.KeyB).Orphaned)
		after, ok := local.Snapshot(conf.SlotFetched, clienttest.KeyB)
		require.True(t, ok)
		assert.Equal(t, before.Position, after.Position)
	})
}

func TestD2_SnapshotDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		local := clienttest.NewFiles()
		var log clienttest.Logs
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		local.Mu.Lock()
		local.SaveErr = conf.Errorf(conf.ErrNoSpace, "disk full")
		local.Mu.Unlock()
		for i := 1; i <= 30; i++ {
			c.Set(clienttest.KeyA, strconv.Itoa(i))
			time.Sleep(10 * time.Second)
		}
		assert.Len(t, r.Contents(), 31)
		s, _ := local.Snapshot(conf.SlotFetched, clienttest.KeyA)
		assert.Equal(t, "0", s.Entry.Content, "the old one is intact")
		assert.Equal(t, 1, strings.Count(log.String(), "cannot be written"), log.String())
		assert.NotContains(t, log.String(), "content")

		local.Mu.Lock()
		local.SaveErr = nil
		local.Mu.Unlock()
		time.Sleep(time.Minute)
		s, _ = local.Snapshot(conf.SlotFetched, clienttest.KeyA)
		assert.Equal(t, "30", s.Entry.Content, "written when there is space again")
	})
}

func TestD5_SlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		local := clienttest.NewFiles()
		local.SaveDelay = 5 * time.Second
		client, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		var r clienttest.Recorder
		_, err = client.Subscribe(clienttest.KeyA, &r)
		require.NoError(t, err)
		clienttest.Settle()
		for i := 1; i <= 100; i++ {
			c.Set(clienttest.KeyA, strconv.Itoa(i))
			synctest.Wait()
			require.Equal(t, strconv.Itoa(i), r.Last().Content, "the listener does not wait for the disk")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, local.SaveCount(), 6, "at most one pending write a key and slot")
		s, _ := local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.Equal(t, "100", s.Entry.Content)
		require.NoError(t, client.Close())
	})
}

func TestSnapshot_CloseWritesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := clienttest.NewFiles()
		client, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		clienttest.Get(t, client, clienttest.KeyA)
		require.NoError(t, client.Close())
		again, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		clienttest.Get(t, again, clienttest.KeyA)
		require.NoError(t, again.Close())
		assert.Equal(t, 1, local.SaveCount(), "what is there already is not written again")
		s, ok := local.Snapshot(conf.SlotFetched, clienttest.KeyA)
		require.True(t, ok)
		assert.Equal(t, "a", s.Entry.Content)
		_, ok = local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.False(t, ok, "nobody has judged it")

		local.SaveDelay = time.Hour // a disk that hangs
		client, err = diamond.NewClient(c, diamond.WithLocalFiles(local))
		require.NoError(t, err)
		c.Set(clienttest.KeyA, "b")
		clienttest.Get(t, client, clienttest.KeyA)
		start := time.Now()
		require.NoError(t, client.Close())
		assert.LessOrEqual(t, time.Since(start), 5*time.Second)
		time.Sleep(2 * time.Hour)
	})
}

func TestD8_Defect_C7_OverrideFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "server 1")
		local := clienttest.NewFiles()
		var log clienttest.Logs
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		mine := "mine 1"
		local.SetOverride(clienttest.KeyA, &mine)
		clienttest.Settle()
		config := clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, "mine 1", config.Content)
		assert.Equal(t, conf.MD5Hex("mine 1"), config.MD5)
		assert.Equal(t, "json", config.Type)
		assert.Equal(t, conf.SourceOverride, client.Status(clienttest.KeyA)[0].Source)
		assert.Equal(t, 1, strings.Count(log.String(), "override file is in force"))

		c.Set(clienttest.KeyA, "server 2")
		clienttest.Settle()
		assert.Equal(t, "mine 1", clienttest.Get(t, client, clienttest.KeyA).Content, "the override wins")
		mine = "mine 2"
		local.SetOverride(clienttest.KeyA, &mine)
		clienttest.Settle()
		local.SetOverride(clienttest.KeyA, nil)
		clienttest.Settle()
		assert.Equal(t, "server 2", clienttest.Get(t, client, clienttest.KeyA).Content, "back to the newest of the server's")
		assert.Equal(t, []string{"server 1", "mine 1", "mine 2", "server 2"}, r.Contents())
		s, _ := local.Snapshot(conf.SlotFetched, clienttest.KeyA)
		assert.Equal(t, "server 2", s.Entry.Content, "an override is no snapshot")
		assert.Equal(t, 1, strings.Count(log.String(), "an override file is in force"), "said once")
		assert.Equal(t, 1, strings.Count(log.String(), "no longer in force"))
		assert.NotContains(t, log.String(), "mine")

		// One that is there at the start, for a key that the server does not have.
		mine = "mine b"
		local.SetOverride(clienttest.KeyB, &mine)
		assert.Equal(t, "mine b", clienttest.Get(t, client, clienttest.KeyB).Content)
		var b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		clienttest.Settle()
		local.SetOverride(clienttest.KeyB, nil)
		clienttest.Settle()
		_, err := client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		assert.Equal(t, []string{"mine b", "-"}, b.Contents())
	})
}

func TestR7_RejectedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "good 1")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		r.Verdict = func(config conf.Config) error {
			if strings.HasPrefix(config.Content, "bad") {
				return errors.New("cannot use " + config.Content)
			}
			return nil
		}
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		clienttest.Settle()
		bad := c.Set(clienttest.KeyA, "bad 2")
		clienttest.Settle()
		status := client.Status(clienttest.KeyA)[0]
		assert.Equal(t, bad, status.Rejected)
		assert.ErrorContains(t, status.Err, "cannot use")
		good, _ := local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.Equal(t, "good 1", good.Entry.Content, "the last good one stays on disk")
		assert.Equal(t, []conf.Report{
			{Key: clienttest.KeyA, Revision: bad - 1, Applied: true},
			{Key: clienttest.KeyA, Revision: bad, Reason: "error"},
		}, c.Reported())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"good 1", "bad 2"}, r.Contents(), "not tried again before there is a newer one")

		// A restart finds the bad value: it falls back to the last good one.
		again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		r2 := clienttest.Recorder{Verdict: r.Verdict}
		require.NoError(t, clienttest.Subscribe(t, again, clienttest.KeyA, &r2).Wait(t.Context()))
		assert.Equal(t, []string{"bad 2", "good 1"}, r2.Contents())
		assert.Equal(t, conf.SourceSnapshot, r2.Last().Source)
		assert.Equal(t, bad, again.Status(clienttest.KeyA)[0].Rejected)

		// Offline, too.
		c.Fail(clienttest.ErrDown)
		offline := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		r3 := clienttest.Recorder{Verdict: r.Verdict}
		require.NoError(t, clienttest.Subscribe(t, offline, clienttest.KeyA, &r3).Wait(t.Context()))
		assert.Equal(t, []string{"bad 2", "good 1"}, r3.Contents())

		c.Fail(nil)
		c.Set(clienttest.KeyA, "good 3")
		time.Sleep(5 * time.Second)
		assert.Equal(t, "good 3", r.Last().Content)
		assert.Zero(t, client.Status(clienttest.KeyA)[0].Rejected)
		assert.NoError(t, client.Status(clienttest.KeyA)[0].Err)
		good, _ = local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.Equal(t, "good 3", good.Entry.Content)
	})
}

func TestR7_AllListenersMustApplyBeforeAValueIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "1")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		release := make(chan struct{})
		slow := clienttest.Recorder{Verdict: func(conf.Config) error { <-release; return nil }}
		clienttest.Subscribe(t, client, clienttest.KeyA, &slow) // the other one alone would do
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		_, ok := local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.False(t, ok)
		assert.Empty(t, c.Reported())
		close(release)
		clienttest.Settle()
		_, ok = local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.True(t, ok)
		assert.Equal(t, []conf.Report{{Key: clienttest.KeyA, Revision: 1, Applied: true}}, c.Reported())
	})
}

func TestReports_AreRepeatedBeforeServersForgetThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "1")
		client := clienttest.NewClient(t, c)
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		time.Sleep(time.Minute)
		require.Len(t, c.Reported(), 1)
		c.Fail(clienttest.ErrDown)
		time.Sleep(8 * time.Minute)
		c.Fail(nil)
		time.Sleep(10 * time.Minute)
		n := len(c.Reported())
		assert.GreaterOrEqual(t, n, 3)
		assert.LessOrEqual(t, n, 6)
		sub.Stop()
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, len(c.Reported()), n+1, "not for those who do not listen any more")
	})
}

// A rejected value is not replaced by the last good one if both are equal.
func TestR7_TheLastGoodValueIsNotOfferedWhereItIsTheRejectedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "bad by now")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotLastGood][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		r := clienttest.Recorder{Verdict: func(conf.Config) error { return errors.New("refused") }}
		require.Error(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		clienttest.Settle()
		assert.Len(t, r.Contents(), 1)
	})
}

// A first value falls back too if the key did not exist when its listener was added.
func TestR7_AFirstValueThatComesLaterFallsBackToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "good")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotLastGood][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		c.Remove(clienttest.KeyA)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		r := clienttest.Recorder{Verdict: func(config conf.Config) error {
			if config.Content == "bad" {
				return errors.New("refused")
			}
			return nil
		}}
		require.ErrorIs(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()), conf.ErrNotFound)
		clienttest.Settle()
		c.Set(clienttest.KeyA, "bad")
		clienttest.Settle()
		assert.Equal(t, []string{"bad", "good"}, r.Contents())
	})
}

// A listener that has applied the operator's value has not applied the server's.
func TestR7_WhatAnOverrideHidesIsNotGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "server")
		local := clienttest.NewFiles()
		local.Overrides[clienttest.KeyA] = "mine"
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		clienttest.Settle()
		assert.Equal(t, []string{"mine"}, r.Contents())
		_, ok := local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.False(t, ok)
		assert.Empty(t, c.Reported())
	})
}
