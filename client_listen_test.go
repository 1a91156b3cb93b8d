package diamond_test

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
)

func TestDefect_C12_C13_PresentStateThenEachNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		client := newClient(t, c)
		var r recorder
		sub := subscribe(t, client, keyA, &r)
		require.NoError(t, sub.Wait(t.Context()))
		settle()
		for _, content := range []string{"two", "two", "three"} {
			c.set(keyA, content)
			synctest.Wait()
		}
		c.set(keyB, "another key")
		c.remove(keyA)
		synctest.Wait()
		c.set(keyA, "three")
		synctest.Wait()
		assert.Equal(t, []string{"one", "two", "three", "-", "three"}, r.contents(), "each value once, deletions too")
		assert.Equal(t, 1, c.fetchCount(keyA), "contents come with the polls")
	})
}

func TestDefect_C14_WaitSaysWhyThereIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		var r recorder
		sub := subscribe(t, client, keyA, &r)
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrNotFound)
		c.set(keyA, "one")
		settle()
		require.NoError(t, sub.Wait(t.Context()), "the subscription goes on")
		assert.Equal(t, []string{"one"}, r.contents())

		wrong := errors.New("wrong")
		r2 := recorder{verdict: func(conf.Config) error { return wrong }}
		require.ErrorIs(t, subscribe(t, client, keyA, &r2).Wait(t.Context()), wrong)

		c.fail(errDown)
		sub = subscribe(t, client, keyB, &recorder{})
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrUnavailable)
		sub.Stop()
		sub.Stop()
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrClosed)
	})
}

func TestDefect_C8_C26_SeveralListenersOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		client := newClient(t, c)
		var r1, r2, r3 recorder
		subscribe(t, client, keyA, &r1)
		second := subscribe(t, client, keyA, &r2)
		settle()
		subscribe(t, client, keyA, &r3)
		settle()
		second.Stop()
		c.set(keyA, "two")
		settle()
		assert.Equal(t, []string{"one", "two"}, r1.contents())
		assert.Equal(t, []string{"one"}, r2.contents(), "not after Stop")
		assert.Equal(t, []string{"one", "two"}, r3.contents())
	})
}

func TestOneAnswerIsAppliedWholeBeforeAnyListenerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 3 // "large" is fetched
		c.setAll(map[conf.Key]string{keyA: "1", keyB: "1-large"})
		client := newClient(t, c)
		check := func(other conf.Key) diamond.Listener {
			return diamond.ListenerFunc(func(ctx context.Context, config conf.Config) error {
				o, err := client.Get(ctx, other)
				assert.NoError(t, err)
				assert.Equal(t, config.Revision, o.Revision)
				return nil
			})
		}
		get(t, client, keyA)
		get(t, client, keyB)
		settle()
		subscribe(t, client, keyA, check(keyB))
		subscribe(t, client, keyB, check(keyA))
		settle() // a first call still under way would see the other key's next value
		for i := range 20 {
			n := strconv.Itoa(i)
			c.setAll(map[conf.Key]string{keyA: n, keyB: n + "-large"})
			settle()
			require.Equal(t, n, get(t, client, keyA).Content)
			require.Equal(t, n+"-large", get(t, client, keyB).Content)
		}
	})
}

func TestC1_ListenerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "CANARY-0")
		var log logs
		client := newClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		calls := 0
		panics := diamond.ListenerFunc(func(_ context.Context, config conf.Config) error {
			if calls++; calls%3 == 1 {
				panic("on purpose: " + config.Content)
			}
			return nil
		})
		sub := subscribe(t, client, keyA, panics)
		require.ErrorContains(t, sub.Wait(t.Context()), "panicked")
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		for i := 1; i <= 6; i++ {
			c.set(keyA, "CANARY-"+strconv.Itoa(i))
			settle()
		}
		assert.Equal(t, 7, calls)
		assert.Len(t, r.contents(), 7, "others are not affected")
		assert.Contains(t, log.String(), keyA.String())
		assert.Contains(t, log.String(), "client_listen_test.go", "the stack says where")
		assert.NotContains(t, log.String(), "CANARY")
		assert.Contains(t, c.reported(), conf.Report{Key: keyA, Revision: 1, Reason: "panic"})
	})
}

func TestC1_ListenerThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		client := newClient(t, c)
		calls := 0
		sub := subscribe(t, client, keyA, diamond.ListenerFunc(func(context.Context, conf.Config) error {
			calls++
			runtime.Goexit()
			return nil
		}))
		require.ErrorContains(t, sub.Wait(t.Context()), "panicked")
		settle()
		c.set(keyA, "two")
		settle()
		assert.Equal(t, 2, calls)
	})
}

func TestC2_ListenerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "0")
		var log logs
		client, err := diamond.NewClient(c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, err)
		release := make(chan struct{})
		var blocked, free recorder
		blocked.verdict = func(conf.Config) error { <-release; return nil }
		_, err = client.Subscribe(keyA, &blocked)
		require.NoError(t, err)
		_, err = client.Subscribe(keyA, &free)
		require.NoError(t, err)
		for i := 1; i <= 10; i++ {
			settle()
			c.set(keyA, strconv.Itoa(i))
		}
		settle()
		assert.Len(t, free.contents(), 11, "others are not affected")
		assert.NotContains(t, log.String(), "taking long")
		time.Sleep(30 * time.Second)
		assert.Contains(t, log.String(), "taking long")
		release <- struct{}{}
		synctest.Wait()
		assert.Equal(t, []string{"0", "10"}, blocked.contents(), "the latest wins")

		start := time.Now()
		err = client.Close()
		require.ErrorContains(t, err, keyA.String())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 10*time.Second, time.Since(start))
		close(release)
	})
}

func TestC3_ListenerCallsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		c.set(keyB, "b")
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		var sub *diamond.Subscription
		subscribed := make(chan struct{})
		var inner recorder
		done := make(chan struct{})
		sub, err = client.Subscribe(keyA, diamond.ListenerFunc(func(ctx context.Context, config conf.Config) error {
			defer close(done)
			<-subscribed
			_, err := client.Get(ctx, keyB)
			assert.NoError(t, err)
			other, err := client.Subscribe(keyB, &inner)
			if assert.NoError(t, err) {
				assert.NoError(t, other.Wait(ctx))
			}
			_, err = client.Publish(ctx, conf.Draft{Key: keyA, Content: "two"})
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
		assert.Equal(t, []string{"b"}, inner.contents())
		require.NoError(t, client.Close(), "a second Close does nothing")
	})
}

// INV-11 too: a bubble does not end before all its goroutines have.
func TestC4_INV11_CloseAtAnyMoment(t *testing.T) {
	n := campaign.Scale(t, 100, 1000)
	for range n {
		synctest.Test(t, func(t *testing.T) {
			c := newCentre()
			c.set(keyA, "0")
			c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				time.Sleep(rand.N(3 * time.Millisecond))
				return nil, nil
			}
			local := newFiles()
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
						sub, err := client.Subscribe(keyN(i%3), listener)
						if err != nil {
							assert.ErrorIs(t, err, conf.ErrClosed)
							return
						}
						_, _ = client.Get(ctx, keyA)
						time.Sleep(rand.N(2 * time.Millisecond))
						if i%2 == 0 {
							sub.Stop()
						}
					}
				})
			}
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					c.set(keyN(i%3), strconv.Itoa(i))
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
			c := newCentre()
			c.set(keyA, "0")
			client := newClient(t, c)
			var r recorder
			subscribe(t, client, keyA, &r)
			// The moment of the change walks over the first fetch, the comparison and the parking.
			time.Sleep(time.Duration(i%100) * 200 * time.Microsecond)
			c.set(keyA, "1")
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			require.Equal(t, "1", r.last().Content)
		})
	}
}

func TestC7_WhatHappenedWhileOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "A")
		c.set(keyB, "B")
		client := newClient(t, c)
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		settle()
		first := a.last().Revision

		c.fail(errDown)
		time.Sleep(time.Minute)
		c.set(keyA, "other")
		c.remove(keyA)
		c.set(keyA, "A") // A, B, A: the content is what it was, the revision is not
		c.remove(keyB)
		c.fail(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"A"}, a.contents(), "nothing has changed for it")
		now := get(t, client, keyA).Revision
		assert.Greater(t, now, first)
		assert.Equal(t, now, client.Status(keyA)[0].Revision)
		assert.Contains(t, c.reported(), conf.Report{Key: keyA, Revision: now, Applied: true})
		assert.Equal(t, []string{"B", "-"}, b.contents())
	})
}

func TestC12_WallClockIsNotUsedToDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		c.tamper = func(r *conf.FetchResponse) { r.Entry.Modified = time.Now().AddDate(1, 0, 0) }
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		c.with(func() {
			e := c.entries[keyA]
			e.Modified = time.Now().AddDate(-1, 0, 0)
			c.entries[keyA] = e
		})
		c.set(keyA, "two") // its time is a year and more before the other's
		settle()
		assert.Equal(t, "two", get(t, client, keyA).Content)
		polls := c.pollCount()
		time.Sleep(time.Hour)
		assert.Less(t, c.pollCount()-polls, 170, "no busy loop")
	})
}

func TestSubscribe_StopWaitsForTheCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		client := newClient(t, c)
		returned := false
		sub := subscribe(t, client, keyA, diamond.ListenerFunc(func(ctx context.Context, _ conf.Config) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			returned = true
			return ctx.Err()
		}))
		settle()
		sub.Stop()
		assert.True(t, returned)
	})
}

func TestDefect_C25_NothingOfAContentIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "CANARY")
		var log bytes.Buffer
		client, err := diamond.NewClient(c, diamond.WithLocalFiles(newFiles()),
			diamond.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		require.NoError(t, err)
		_, err = client.Subscribe(keyA, &recorder{verdict: func(c conf.Config) error { return errors.New(c.Content) }})
		require.NoError(t, err)
		_, err = diamond.Bind[struct{ N int }](t.Context(), client, keyA)
		require.Error(t, err)
		c.fail(errDown)
		time.Sleep(time.Minute)
		require.NoError(t, client.Close())
		assert.NotEmpty(t, log.String())
		assert.NotContains(t, log.String(), "CANARY")
	})
}

// Who waits for a subscription hears of its end.
func TestWait_EndsWithTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.hang()
		client := newClient(t, c)
		sub := subscribe(t, client, keyA, &recorder{})
		time.AfterFunc(time.Second, sub.Stop)
		start := time.Now()
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrClosed)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// A value is applied once those listeners that are left have applied it.
func TestStop_ThoseWhoAreLeftHaveApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		release := make(chan struct{})
		slow := subscribe(t, client, keyA, &recorder{verdict: func(conf.Config) error { <-release; return nil }})
		subscribe(t, client, keyA, &recorder{})
		settle()
		assert.Empty(t, c.reported())
		stopped := make(chan struct{})
		go func() { slow.Stop(); close(stopped) }()
		settle()
		assert.Equal(t, []conf.Report{{Key: keyA, Revision: 1, Applied: true}}, c.reported())
		close(release)
		<-stopped
	})
}

// Wait is for what is known when it is called, not for what the listener had before.
func TestWait_IsForTheNewestValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		var r recorder
		sub := subscribe(t, client, keyA, &r)
		require.NoError(t, sub.Wait(t.Context()))
		for i := range 200 {
			content := strconv.Itoa(i)
			_, err := client.Publish(t.Context(), conf.Draft{Key: keyA, Content: content})
			require.NoError(t, err)
			require.NoError(t, sub.Wait(t.Context()))
			require.Equal(t, content, r.last().Content)
		}
	})
}

// What is in memory is not read from a client that is closed either.
func TestClose_AKeyThatIsInMemoryIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		get(t, client, keyA)
		require.NoError(t, client.Close())
		_, err := client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrClosed)
	})
}
