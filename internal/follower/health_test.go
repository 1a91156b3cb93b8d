package follower_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// requireTold checks that l got exactly the wanted errors since the last check.
func requireTold(t *testing.T, l *clienttest.Errors, wanted ...error) {
	t.Helper()
	synctest.Wait()
	errs := l.Take()
	require.Len(t, errs, len(wanted), "%v", errs)
	for i, err := range errs {
		require.ErrorIs(t, err, wanted[i])
	}
}

// watch runs a Watch until the returned function is called.
func watch(t *testing.T, client diamond.Client) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range client.Watch(ctx, conf.ChangesRequest{}) {
		}
	}()
	return func() { cancel(); <-ended }
}

// An outage causes one call, and one log record when it begins and one when it ends,
// whatever notices it and whatever servers do.
func TestOnError_AnOutageIsToldOnce(t *testing.T) {
	overloaded := &conf.Error{Err: conf.ErrOverloaded, Remote: true}
	for name, away := range map[string]struct {
		begin  func(*transporttest.Faulty)
		wanted error
	}{
		"refused":    {func(f *transporttest.Faulty) { f.Partition(); f.Fail(conf.Errorf(conf.ErrUnavailable, "down")) }, conf.ErrUnavailable},
		"silent":     {(*transporttest.Faulty).Partition, conf.ErrUnavailable},
		"overloaded": {func(f *transporttest.Faulty) { f.Partition(); f.Fail(overloaded) }, conf.ErrOverloaded},
	} {
		for _, who := range []string{"polls", "watch", "both", "three watches"} {
			t.Run(name+"/"+who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log clienttest.Logs
					client, network := faultyClient(t, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
					var told clienttest.Errors
					client.OnError(told.Add)
					if who == "polls" || who == "both" {
						clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
					}
					watches := map[string]int{"watch": 1, "both": 1, "three watches": 3}[who]
					for range watches {
						defer watch(t, client)()
					}
					time.Sleep(5 * time.Minute)
					requireTold(t, &told)
					assert.Empty(t, log.String())
					for i := range 3 {
						away.begin(network)
						time.Sleep(time.Minute)
						requireTold(t, &told, away.wanted)
						assert.Equal(t, i+1, strings.Count(log.String(), "level=WARN"), log.String())
						network.Heal()
						time.Sleep(time.Minute)
						requireTold(t, &told)
						assert.Equal(t, i+1, strings.Count(log.String(), "servers answer again"), log.String())
					}
				})
			})
		}
	}
}

// A single request that fails is no problem, however often that happens.
func TestOnError_AFailureThatTheNextAttemptRepairsIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		var polls, asks, writes atomic.Int32
		c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
			if polls.Add(1)%2 == 0 {
				return nil, clienttest.ErrDown
			}
			return nil, nil
		}
		c.OnChanges = func(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			if asks.Add(1)%2 == 0 {
				return nil, clienttest.ErrDown
			}
			time.Sleep(10 * time.Second)
			return &conf.ChangesResponse{Position: c.Position()}, nil
		}
		files := flakyFiles{clienttest.NewFiles(), func() error {
			if writes.Add(1)%2 == 0 {
				return fs.ErrPermission
			}
			return nil
		}}
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(files))
		var told clienttest.Errors
		client.OnError(told.Add)
		clienttest.Get(t, client, clienttest.KeyA) // without a listener there is one snapshot a value
		defer watch(t, client)()
		for range 100 {
			c.Set(clienttest.KeyA, time.Now().String())
			time.Sleep(10 * time.Second)
			clienttest.Get(t, client, clienttest.KeyA)
		}
		requireTold(t, &told)
		for _, n := range []int32{polls.Load(), asks.Load(), writes.Load()} {
			assert.Greater(t, n, int32(50))
		}
	})
}

// flakyFiles are files whose saves fail when fails returns an error.
type flakyFiles struct {
	*clienttest.Files
	fails func() error
}

func (f flakyFiles) Save(slot conf.Slot, s conf.Snapshot) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Files.Save(slot, s)
}

func TestOnError_SnapshotsThatCannotBeWritten(t *testing.T) {
	for name, wanted := range map[string]error{"full": conf.ErrNoSpace, "read-only": fs.ErrPermission} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "0")
				local := clienttest.NewFiles()
				var log clienttest.Logs
				client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				var told clienttest.Errors
				client.OnError(told.Add)
				clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
				clienttest.Settle()
				for i := range 3 {
					local.With(func() { local.SaveErr = wanted })
					c.Set(clienttest.KeyA, time.Now().String())
					time.Sleep(10 * time.Minute)
					requireTold(t, &told, wanted)
					assert.Equal(t, i+1, strings.Count(log.String(), "snapshots cannot be written"), log.String())
					local.With(func() { local.SaveErr = nil })
					time.Sleep(10 * time.Minute)
					requireTold(t, &told)
					assert.Equal(t, i+1, strings.Count(log.String(), "snapshots are written again"), log.String())
				}
			})
		})
	}
}

// Polls that fail for a reason of their own do not hide the outages that a watch notices.
func TestOnError_AnOutageWhilePollsFailAnyway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		full := &conf.Error{Err: conf.ErrOverloaded, Detail: "too many keys", Remote: true}
		serve := func() {
			c.With(func() {
				c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return nil, full }
				c.OnChanges = func(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) {
					time.Sleep(10 * time.Second)
					return &conf.ChangesResponse{Position: c.Position()}, nil
				}
			})
		}
		serve()
		client := clienttest.NewClient(t, c)
		var told clienttest.Errors
		client.OnError(told.Add)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		defer watch(t, client)()
		time.Sleep(10 * time.Minute)
		requireTold(t, &told, conf.ErrOverloaded)
		for range 3 {
			c.Fail(clienttest.ErrDown)
			time.Sleep(5 * time.Minute)
			requireTold(t, &told, conf.ErrUnavailable)
			serve()
			time.Sleep(10 * time.Minute)
			requireTold(t, &told)
		}
	})
}

// If servers come back with another store, or refuse the client, during an outage, that
// causes a call too, but only one.
func TestOnError_AnOutageThatBecomesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		var told clienttest.Errors
		client.OnError(told.Add)
		own := c.Position().Store

		for range 2 {
			c.Fail(clienttest.ErrDown)
			time.Sleep(time.Minute)
			requireTold(t, &told, conf.ErrUnavailable)
			for i := range 3 {
				c.Fail(nil)
				c.With(func() { c.At.Store = conf.StoreID{9} })
				time.Sleep(time.Minute)
				if i == 0 {
					requireTold(t, &told, conf.ErrOtherStore)
				}
				c.Fail(&conf.Error{Err: conf.ErrDenied, Remote: true})
				time.Sleep(time.Minute)
				if i == 0 {
					requireTold(t, &told, conf.ErrDenied)
				}
				c.Fail(&conf.Error{Err: conf.ErrOverloaded, Remote: true})
				time.Sleep(time.Minute)
			}
			requireTold(t, &told)
			var late clienttest.Errors
			client.OnError(late.Add)
			requireTold(t, &late, conf.ErrOverloaded)

			c.Fail(nil)
			c.With(func() { c.At.Store = own })
			time.Sleep(time.Minute)
			requireTold(t, &told)
		}
	})
}

func TestOnError_LostHistoryIsToldEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		var told, late clienttest.Errors
		client.OnError(told.Add)
		clienttest.Get(t, client, clienttest.KeyA)
		for range 3 {
			clienttest.Settle()
			c.Fork(0)
			time.Sleep(time.Minute)
			requireTold(t, &told, conf.ErrEpoch)
		}
		client.OnError(late.Add)
		requireTold(t, &late) // it is over
	})
}

func TestOnError_ALateCallbackIsToldWhatIsPresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var early, none clienttest.Errors
		client.OnError(early.Add)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		local.With(func() { local.SaveErr = conf.Errorf(conf.ErrNoSpace, "full") })
		c.Set(clienttest.KeyA, "b")
		time.Sleep(time.Minute)
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		requireTold(t, &early, conf.ErrNoSpace, conf.ErrUnavailable)

		for range 2 {
			var late clienttest.Errors
			stop := client.OnError(late.Add)
			requireTold(t, &late, conf.ErrUnavailable, conf.ErrNoSpace)
			stop()
		}
		local.With(func() { local.SaveErr = nil })
		c.Fail(nil)
		time.Sleep(2 * time.Minute)
		client.OnError(none.Add)
		requireTold(t, &none)
		requireTold(t, &early)
	})
}

// After a watch that ended during an outage, or polls that had nothing to ask for, a later
// outage still causes a call.
func TestOnError_WhatIsNotAskedAnyMoreHasNoProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, network := faultyClient(t)
		var told clienttest.Errors
		client.OnError(told.Add)
		for range 3 {
			end := watch(t, client)
			time.Sleep(time.Minute)
			network.Fail(conf.Errorf(conf.ErrUnavailable, "down"))
			time.Sleep(time.Minute)
			requireTold(t, &told, conf.ErrUnavailable)
			end()
			network.Heal()
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		var told, late clienttest.Errors
		client.OnError(told.Add)
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		requireTold(t, &told, conf.ErrUnavailable)
		c.Fail(&conf.Error{Op: "poll", Err: conf.ErrDenied, Key: clienttest.KeyA, Remote: true}) // as old servers do
		time.Sleep(5 * time.Second)
		client.OnError(late.Add)
		requireTold(t, &late)
		requireTold(t, &told)
		require.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrDenied)
		c.Fail(clienttest.ErrDown)
		time.Sleep(5 * time.Minute)
		c.Fail(nil)
		time.Sleep(5 * time.Minute)
		require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		requireTold(t, &told, conf.ErrUnavailable)
	})
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Minute)
		c.Fail(&conf.Error{Op: "poll", Err: conf.ErrDenied, Key: clienttest.KeyA, Remote: true})
		time.Sleep(15 * time.Minute)
		require.Empty(t, client.Status(), "a client lets go of keys unless servers are away")
	})
}

// A slow callback delays nobody. It then gets the newest error of each problem.
func TestOnError_ASlowCallbackMissesWhatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		var slow, fast clienttest.Errors
		release := make(chan struct{})
		client.OnError(func(err error) {
			slow.Add(err)
			<-release
		})
		client.OnError(fast.Add)
		c.Fork(0)
		time.Sleep(time.Minute)
		const rounds = 50
		for i := range rounds {
			c.Fail(conf.Errorf(conf.ErrUnavailable, "outage %d", i))
			time.Sleep(time.Minute)
			c.Fail(nil)
			time.Sleep(time.Minute)
		}
		c.Fork(0)
		time.Sleep(time.Minute)
		require.Len(t, fast.Take(), 1+rounds+1)
		requireTold(t, &slow, conf.ErrEpoch)
		close(release)
		synctest.Wait()
		errs := slow.Take()
		require.Len(t, errs, 2)
		require.ErrorContains(t, errs[0], "outage 49")
		require.ErrorIs(t, errs[1], conf.ErrEpoch)
	})
}

func TestOnError_CallbackThatPanicsOrEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		var log clienttest.Logs
		client := clienttest.NewClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		clienttest.Get(t, client, clienttest.KeyA)
		var calls atomic.Int32
		client.OnError(func(err error) {
			switch calls.Add(1) {
			case 1:
				panic("CANARY: " + err.Error())
			case 2:
				runtime.Goexit()
			}
		})
		for i := range 4 {
			c.Fork(0)
			time.Sleep(time.Minute)
			assert.EqualValues(t, i+1, calls.Load())
		}
		assert.Equal(t, 1, strings.Count(log.String(), "a callback panicked"))
		assert.Contains(t, log.String(), "health_test.go", "the stack says where")
		assert.NotContains(t, log.String(), "CANARY")
	})
}

func TestOnError_Stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)

		var within func()
		var calls atomic.Int32
		within = client.OnError(func(error) {
			calls.Add(1)
			within()
			within()
		})
		var running, calledAfter, stopped atomic.Bool
		stop := client.OnError(func(error) {
			calledAfter.Store(stopped.Load())
			running.Store(true)
			time.Sleep(time.Second)
			running.Store(false)
		})
		for range 3 {
			c.Fork(0)
			time.Sleep(time.Minute)
		}
		assert.False(t, running.Load())
		c.Fork(0)
		for !running.Load() {
			time.Sleep(time.Millisecond)
		}
		stop()
		assert.False(t, running.Load(), "stop waits for the call")
		stopped.Store(true)
		stop()
		for range 3 {
			c.Fork(0)
			time.Sleep(time.Minute)
		}
		assert.EqualValues(t, 1, calls.Load())
		assert.False(t, calledAfter.Load())
	})
}

func TestOnError_Close(t *testing.T) {
	open := func(t *testing.T) (*clienttest.Centre, diamond.Client) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client, err := diamond.NewClient(c)
		require.NoError(t, err)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		return c, client
	}
	t.Run("waits for a call and none follows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, client := open(t)
			var closed atomic.Bool
			calls := 0
			client.OnError(func(error) {
				calls++
				time.Sleep(time.Second)
				assert.False(t, closed.Load(), "still running after Close has returned")
			})
			c.Fork(0)
			clienttest.Settle()
			c.Fail(clienttest.ErrDown)
			time.Sleep(500 * time.Millisecond)
			start := time.Now()
			require.NoError(t, client.Close())
			closed.Store(true)
			assert.Positive(t, time.Since(start))
			time.Sleep(time.Minute)
			assert.Equal(t, 1, calls)
			var late clienttest.Errors
			stop := client.OnError(late.Add)
			requireTold(t, &late)
			stop()
		})
	})
	t.Run("names one that still runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, client := open(t)
			release := make(chan struct{})
			defer close(release)
			client.OnError(func(error) { <-release })
			c.Fork(0)
			clienttest.Settle()
			err := client.Close()
			require.ErrorIs(t, err, conf.ErrUnavailable)
			require.ErrorContains(t, err, "OnError")
		})
	})
	t.Run("from within", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, client := open(t)
			errs := make(chan error, 1)
			client.OnError(func(error) { errs <- client.Close() })
			c.Fork(0)
			require.NoError(t, <-errs)
		})
	})
	t.Run("at any moment", func(t *testing.T) {
		for i := range 50 {
			synctest.Test(t, func(t *testing.T) {
				c, client := open(t)
				var closed atomic.Bool
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						for range 20 {
							stop := client.OnError(func(error) { assert.False(t, closed.Load()) })
							time.Sleep(time.Millisecond)
							stop()
						}
					})
				}
				all.Go(func() {
					for range 20 {
						c.Fork(0)
						time.Sleep(time.Millisecond)
					}
				})
				time.Sleep(time.Duration(i) * time.Millisecond / 2)
				require.NoError(t, client.Close())
				closed.Store(true)
				all.Wait()
			})
		}
	})
}

// The errors that callers get stay the same: they have the sentinel, and the text of the
// transport.
func TestOnError_SaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		var told clienttest.Errors
		client.OnError(told.Add)
		own := errors.New("no route to host")
		c.Fail(&conf.Error{Err: conf.ErrUnavailable, Detail: own.Error()})
		time.Sleep(time.Minute)
		errs := told.Take()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], conf.ErrUnavailable)
		require.ErrorContains(t, errs[0], "no route to host")
	})
}
