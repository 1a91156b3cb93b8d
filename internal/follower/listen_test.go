package follower_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestDefect_C12_C13_PresentStateThenEachNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		require.NoError(t, sub.Wait(t.Context()))
		clienttest.Settle()
		for _, content := range []string{"two", "two", "three"} {
			c.Set(clienttest.KeyA, content)
			synctest.Wait()
		}
		c.Set(clienttest.KeyB, "another key")
		c.Remove(clienttest.KeyA)
		synctest.Wait()
		c.Set(clienttest.KeyA, "three")
		synctest.Wait()
		assert.Equal(t, []string{"one", "two", "three", "-", "three"}, r.Contents(), "each value once, deletions too")
		assert.Equal(t, 1, c.FetchCount(clienttest.KeyA), "contents come with the polls")
	})
}

func TestDefect_C14_WaitSaysWhyThereIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrNotFound)
		c.Set(clienttest.KeyA, "one")
		clienttest.Settle()
		require.NoError(t, sub.Wait(t.Context()), "the subscription goes on")
		assert.Equal(t, []string{"one"}, r.Contents())

		wrong := errors.New("wrong")
		r2 := clienttest.Recorder{Verdict: func(conf.Config) error { return wrong }}
		require.ErrorIs(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r2).Wait(t.Context()), wrong)

		c.Fail(clienttest.ErrDown)
		sub = clienttest.Subscribe(t, client, clienttest.KeyB, &clienttest.Recorder{})
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrUnavailable)
		sub.Stop()
		sub.Stop()
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrClosed)
	})
}

func TestDefect_C8_C26_SeveralListenersOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)
		var r1, r2, r3 clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r1)
		second := clienttest.Subscribe(t, client, clienttest.KeyA, &r2)
		clienttest.Settle()
		clienttest.Subscribe(t, client, clienttest.KeyA, &r3)
		clienttest.Settle()
		second.Stop()
		c.Set(clienttest.KeyA, "two")
		clienttest.Settle()
		assert.Equal(t, []string{"one", "two"}, r1.Contents())
		assert.Equal(t, []string{"one"}, r2.Contents(), "not after Stop")
		assert.Equal(t, []string{"one", "two"}, r3.Contents())
	})
}

func TestOneAnswerIsAppliedWholeBeforeAnyListenerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 3 // "large" is fetched
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "1-large"})
		client := clienttest.NewClient(t, c)
		check := func(other conf.Key) diamond.Listener {
			return diamond.ListenerFunc(func(ctx context.Context, config conf.Config) error {
				o, err := client.Get(ctx, other)
				assert.NoError(t, err)
				assert.Equal(t, config.Revision, o.Revision)
				return nil
			})
		}
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Get(t, client, clienttest.KeyB)
		clienttest.Settle()
		clienttest.Subscribe(t, client, clienttest.KeyA, check(clienttest.KeyB))
		clienttest.Subscribe(t, client, clienttest.KeyB, check(clienttest.KeyA))
		clienttest.Settle() // a first call still under way would see the other key's next value
		for i := range 20 {
			n := strconv.Itoa(i)
			c.SetAll(map[conf.Key]string{clienttest.KeyA: n, clienttest.KeyB: n + "-large"})
			clienttest.Settle()
			require.Equal(t, n, clienttest.Get(t, client, clienttest.KeyA).Content)
			require.Equal(t, n+"-large", clienttest.Get(t, client, clienttest.KeyB).Content)
		}
	})
}

func TestC1_ListenerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "CANARY-0")
		var log clienttest.Logs
		client := clienttest.NewClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		calls := 0
		panics := diamond.ListenerFunc(func(_ context.Context, config conf.Config) error {
			if calls++; calls%3 == 1 {
				panic("on purpose: " + config.Content)
			}
			return nil
		})
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, panics)
		require.ErrorContains(t, sub.Wait(t.Context()), "panicked")
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		for i := 1; i <= 6; i++ {
			c.Set(clienttest.KeyA, "CANARY-"+strconv.Itoa(i))
			clienttest.Settle()
		}
		assert.Equal(t, 7, calls)
		assert.Len(t, r.Contents(), 7, "others are not affected")
		assert.Contains(t, log.String(), clienttest.KeyA.String())
		assert.Contains(t, log.String(), "listen_test.go", "the stack says where")
		assert.NotContains(t, log.String(), "CANARY")
		assert.Contains(t, c.Reported(), conf.Report{Key: clienttest.KeyA, Revision: 1, Reason: "panic"})
	})
}

func TestC1_ListenerThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)
		calls := 0
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, diamond.ListenerFunc(func(context.Context, conf.Config) error {
			calls++
			runtime.Goexit()
			return nil
		}))
		require.ErrorContains(t, sub.Wait(t.Context()), "panicked")
		clienttest.Settle()
		c.Set(clienttest.KeyA, "two")
		clienttest.Settle()
		assert.Equal(t, 2, calls)
	})
}

func TestC2_ListenerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		var log clienttest.Logs
		client, err := diamond.NewClient(c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, err)
		release := make(chan struct{})
		var blocked, free clienttest.Recorder
		blocked.Verdict = func(conf.Config) error { <-release; return nil }
		_, err = client.Subscribe(clienttest.KeyA, &blocked)
		require.NoError(t, err)
		_, err = client.Subscribe(clienttest.KeyA, &free)
		require.NoError(t, err)
		for i := 1; i <= 10; i++ {
			clienttest.Settle()
			c.Set(clienttest.KeyA, strconv.Itoa(i))
		}
		clienttest.Settle()
		assert.Len(t, free.Contents(), 11, "others are not affected")
		assert.NotContains(t, log.String(), "taking long")
		time.Sleep(30 * time.Second)
		assert.Contains(t, log.String(), "taking long")
		release <- struct{}{}
		synctest.Wait()
		assert.Equal(t, []string{"0", "10"}, blocked.Contents(), "the latest wins")

		start := time.Now()
		err = client.Close()
		require.ErrorContains(t, err, clienttest.KeyA.String())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 10*time.Second, time.Since(start))
		close(release)
	})
}

func TestC3_ListenerCallsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		c.Set(clienttest.KeyB, "b")
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		var sub *diamond.Subscription
		subscribed := make(chan struct{})
		var inner clienttest.Recorder
		done := make(chan struct{})
		sub, err = client.Subscribe(clienttest.KeyA, diamond.ListenerFunc(func(ctx context.Context, config conf.Config) error {
			defer close(done)
			<-subscribed
			_, err := client.Get(ctx, clienttest.KeyB)
			assert.NoError(t, err)
			other, err := client.Subscribe(clienttest.KeyB, &inner)
			if assert.NoError(t, err) {
				assert.NoError(t, other.Wait(ctx))
			}
			_, err = client.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: "two"})
			assert.NoError(t, err)
			assert.Len(t, client.Status(), 2)
			other.Stop()
			sub.Stop()
			assert.NoError(t, client.Close())
			return nil
		}))
		require.NoError(t, err)
		close(subscribed)
		<-done
		assert.Equal(t, []string{"b"}, inner.Contents())
		require.NoError(t, client.Close(), "a second Close does nothing")
	})
}

// INV-11 too: a bubble does not end before all its goroutines have.
func TestC4_INV11_CloseAtAnyMoment(t *testing.T) {
	n := campaign.Scale(t, 100, 1000)
	for range n {
		synctest.Test(t, func(t *testing.T) {
			c := clienttest.NewCentre()
			c.Set(clienttest.KeyA, "0")
			c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				time.Sleep(rand.N(3 * time.Millisecond))
				return nil, nil
			}
			local := clienttest.NewFiles()
			client, err := diamond.NewClient(c, diamond.WithLocalFiles(local))
			require.NoError(t, err)
			var closed atomic.Bool
			listener := diamond.ListenerFunc(func(context.Context, conf.Config) error {
				assert.False(t, closed.Load(), "called after Close has returned")
				time.Sleep(rand.N(2 * time.Millisecond))
				assert.False(t, closed.Load(), "still running after Close has returned")
				return nil
			})
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for range 3 {
				wg.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						sub, err := client.Subscribe(clienttest.KeyN(i%3), listener)
						if err != nil {
							assert.ErrorIs(t, err, conf.ErrClosed)
							return
						}
						_, _ = client.Get(ctx, clienttest.KeyA)
						time.Sleep(rand.N(2 * time.Millisecond))
						if i%2 == 0 {
							sub.Stop()
						}
					}
				})
			}
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					c.Set(clienttest.KeyN(i%3), strconv.Itoa(i))
					time.Sleep(rand.N(2 * time.Millisecond))
				}
			})
			time.Sleep(rand.N(20 * time.Millisecond))
			require.NoError(t, client.Close())
			closed.Store(true)
			cancel()
			wg.Wait()
		})
	}
}

func TestC6_LostWakeup_Client(t *testing.T) {
	n := campaign.Scale(t, 300, 100_000)
	for i := range n {
		synctest.Test(t, func(t *testing.T) {
			c := clienttest.NewCentre()
			c.Set(clienttest.KeyA, "0")
			client := clienttest.NewClient(t, c)
			var r clienttest.Recorder
			clienttest.Subscribe(t, client, clienttest.KeyA, &r)
			// The moment of the change walks over the first fetch, the comparison and the parking.
			time.Sleep(time.Duration(i%100) * 200 * time.Microsecond)
			c.Set(clienttest.KeyA, "1")
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			require.Equal(t, "1", r.Last().Content)
		})
	}
}

func TestC7_WhatHappenedWhileOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "A")
		c.Set(clienttest.KeyB, "B")
		client := clienttest.NewClient(t, c)
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		clienttest.Settle()
		first := a.Last().Revision

		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		c.Set(clienttest.KeyA, "other")
		c.Remove(clienttest.KeyA)
		c.Set(clienttest.KeyA, "A") // A, B, A: the content is what it was, the revision is not
		c.Remove(clienttest.KeyB)
		c.Fail(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"A"}, a.Contents(), "nothing has changed for it")
		now := clienttest.Get(t, client, clienttest.KeyA).Revision
		assert.Greater(t, now, first)
		assert.Equal(t, now, client.Status(clienttest.KeyA)[0].Revision)
		assert.Contains(t, c.Reported(), conf.Report{Key: clienttest.KeyA, Revision: now, Applied: true})
		assert.Equal(t, []string{"B", "-"}, b.Contents())
	})
}

func TestC12_WallClockIsNotUsedToDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		c.Tamper = func(r *conf.FetchResponse) { r.Entry.Modified = time.Now().AddDate(1, 0, 0) }
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		c.With(func() {
			e := c.Entries[clienttest.KeyA]
			e.Modified = time.Now().AddDate(-1, 0, 0)
			c.Entries[clienttest.KeyA] = e
		})
		c.Set(clienttest.KeyA, "two") // its time is a year and more before the other's
		clienttest.Settle()
		assert.Equal(t, "two", clienttest.Get(t, client, clienttest.KeyA).Content)
		polls := c.PollCount()
		time.Sleep(time.Hour)
		assert.Less(t, c.PollCount()-polls, 170, "no busy loop")
	})
}

func TestSubscribe_StopWaitsForTheCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		client := clienttest.NewClient(t, c)
		returned := false
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, diamond.ListenerFunc(func(ctx context.Context, _ conf.Config) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			returned = true
			return ctx.Err()
		}))
		clienttest.Settle()
		sub.Stop()
		assert.True(t, returned)
	})
}

func TestDefect_C25_NothingOfAContentIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "CANARY")
		var log bytes.Buffer
		client, err := diamond.NewClient(c, diamond.WithLocalFiles(clienttest.NewFiles()),
			diamond.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		require.NoError(t, err)
		_, err = client.Subscribe(clienttest.KeyA, &clienttest.Recorder{Verdict: func(c conf.Config) error { return errors.New(c.Content) }})
		require.NoError(t, err)
		_, err = diamond.Bind[struct{ N int }](t.Context(), client, clienttest.KeyA)
		require.Error(t, err)
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		require.NoError(t, client.Close())
		assert.NotEmpty(t, log.String())
		assert.NotContains(t, log.String(), "CANARY")
	})
}

// Wait returns when its subscription ends.
func TestWait_EndsWithTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Hang()
		client := clienttest.NewClient(t, c)
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		time.AfterFunc(time.Second, sub.Stop)
		start := time.Now()
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrClosed)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// A value is applied once all remaining listeners have applied it.
func TestStop_ThoseWhoAreLeftHaveApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		release := make(chan struct{})
		slow := clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{Verdict: func(conf.Config) error { <-release; return nil }})
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		assert.Empty(t, c.Reported())
		stopped := make(chan struct{})
		go func() { slow.Stop(); close(stopped) }()
		clienttest.Settle()
		assert.Equal(t, []conf.Report{{Key: clienttest.KeyA, Revision: 1, Applied: true}}, c.Reported())
		close(release)
		<-stopped
	})
}

// Wait waits for the value that is known when it is called, and not for an earlier one.
func TestWait_IsForTheNewestValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		require.NoError(t, sub.Wait(t.Context()))
		for i := range 200 {
			content := strconv.Itoa(i)
			_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: content})
			require.NoError(t, err)
			require.NoError(t, sub.Wait(t.Context()))
			require.Equal(t, content, r.Last().Content)
		}
	})
}

// A closed client does not return values from memory either.
func TestClose_AKeyThatIsInMemoryIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		require.NoError(t, client.Close())
		_, err := client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrClosed)
	})
}
