package follower_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestC13_ManyKeysInOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 10_000
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		contents := make(map[conf.Key]string)
		for i := range n {
			contents[clienttest.KeyN(i)] = "x"
		}
		c.SetAll(contents)
		before := runtime.NumGoroutine()
		var applied atomic.Int32
		for i := range n {
			if i%2 == 0 {
				_, err := client.Subscribe(clienttest.KeyN(i), diamond.ListenerFunc(func(context.Context, conf.Config) error { applied.Add(1); return nil }))
				require.NoError(t, err)
			} else if i%100 == 1 {
				clienttest.Get(t, client, clienttest.KeyN(i))
			}
		}
		for i := range n {
			clienttest.Get(t, client, clienttest.KeyN(i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(t, runtime.NumGoroutine()-before, 20, "goroutines do not grow with the keys")
		assert.Equal(t, int32(n/2), applied.Load())
		polls := c.PollCount()
		assert.LessOrEqual(t, polls, 20, "new keys join in groups")

		for i := range 10 {
			c.Set(clienttest.KeyN(i), "y")
			synctest.Wait()
		}
		assert.Equal(t, polls+10, c.PollCount(), "one poll a change")
		wire, err := json.Marshal(c.LastPoll())
		require.NoError(t, err)
		assert.LessOrEqual(t, len(wire), 64<<10, "only the name of the set goes up")
		assert.Equal(t, "y", clienttest.Get(t, client, clienttest.KeyN(9)).Content)
	})
}

func TestPoll_NewKeysJoinTheParkedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		clienttest.Get(t, client, clienttest.KeyB)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		c.Set(clienttest.KeyB, "b2")
		synctest.Wait()
		assert.Equal(t, "b2", clienttest.Get(t, client, clienttest.KeyB).Content, "the poll that was parked has been sent again with the new key")
	})
}

func TestPoll_KeyOfWhichNothingIsKnownJoinsASetThatIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b") // before the position that the client has reached with the other key
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		c.Set(clienttest.KeyA, "a2")
		clienttest.Settle()
		c.FailFetches(clienttest.ErrDown)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyB, &r)
		clienttest.Settle()
		assert.Equal(t, []string{"b"}, r.Contents(), "the poll brings what the first fetch could not")
		assert.Equal(t, []conf.Held{{Key: clienttest.KeyB}}, c.Polls[len(c.Polls)-2].Held)
	})
}

func TestPoll_ALargeContentAfterADeletionThatWasSeenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		c.With(func() {
			c.Inline = 0
			c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) { return nil, clienttest.ErrDown }
		})
		c.Set(clienttest.KeyA, "large")
		clienttest.Settle()
		clienttest.Get(t, client, func() conf.Key { c.FailFetches(nil); c.Set(clienttest.KeyB, "b"); return clienttest.KeyB }())
		time.Sleep(30 * time.Second) // polls have moved on past the revision of the content
		assert.Equal(t, []string{"a", "-", "large"}, r.Contents())
	})
}

func TestPoll_AnAbsenceIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyB, "b")
		c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) { return nil, clienttest.ErrDown }
		client := clienttest.NewClient(t, c)
		start := time.Now()
		require.ErrorIs(t, clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{}).Wait(t.Context()), conf.ErrNotFound)
		assert.Less(t, time.Since(start), time.Second, "not at the end of a wait")
	})
}

func TestPoll_Resync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Get(t, client, clienttest.KeyB)
		clienttest.Settle()
		c.With(func() { clear(c.Sets) }) // as another server, or the same after a restart
		c.Set(clienttest.KeyB, "b2")
		c.Set(clienttest.KeyA, "a2")
		clienttest.Settle()
		assert.Equal(t, "a2", clienttest.Get(t, client, clienttest.KeyA).Content)
		assert.Equal(t, "b2", clienttest.Get(t, client, clienttest.KeyB).Content)

		c.With(func() {
			c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{Resync: true}, nil
			}
			c.Announce()
		})
		c.Set(clienttest.KeyA, "a3")
		clienttest.Settle()
		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.PollCount()-polls, 60, "a server that asks for it for ever does not make us spin")
	})
}

func TestPoll_DrainingServerIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		var draining atomic.Bool
		draining.Store(true)
		c.With(func() {
			c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				if draining.Load() {
					return &conf.PollResponse{Draining: true}, nil
				}
				return nil, nil
			}
		})
		c.Set(clienttest.KeyB, "unrelated")
		c.Set(clienttest.KeyA, "a2") // ends the parked poll
		synctest.Wait()
		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.PollCount()-polls, 60, "where all drain there are pauses")
		draining.Store(false)
		time.Sleep(4 * time.Second)
		assert.Equal(t, "a2", clienttest.Get(t, client, clienttest.KeyA).Content)
	})
}

func TestPoll_AServerThatAnswersAtOnceWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		c.With(func() {
			c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{Position: c.Position()}, nil
			}
			c.Announce()
		})
		c.Set(clienttest.KeyA, "b")
		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.PollCount()-polls, 60)
	})
}

func TestPoll_LargeContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		large := func(s string) string { return strings.Repeat(s, conf.InlineContent+1) }
		c.SetAll(map[conf.Key]string{clienttest.KeyA: large("a"), clienttest.KeyB: "small"})
		client := clienttest.NewClient(t, c)
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		clienttest.Settle()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: large("b"), clienttest.KeyB: "small 2"})
		synctest.Wait()
		assert.Equal(t, large("b"), a.Last().Content)
		assert.Equal(t, 2, c.FetchCount(clienttest.KeyA))
		assert.Equal(t, 1, c.FetchCount(clienttest.KeyB))

		// While the content cannot be fetched, other keys are updated and nothing spins.
		time.Sleep(time.Hour)
		before := clienttest.Get(t, client, clienttest.KeyA).Confirmed
		c.FailFetches(clienttest.ErrDown)
		c.SetAll(map[conf.Key]string{clienttest.KeyA: large("c"), clienttest.KeyB: "small 3"})
		clienttest.Settle()
		assert.Equal(t, "small 3", b.Last().Content)
		assert.Equal(t, large("b"), clienttest.Get(t, client, clienttest.KeyA).Content)
		asOf := clienttest.Get(t, client, clienttest.KeyA).Confirmed
		assert.False(t, asOf.Before(before), "what was confirmed stays so")
		polls, fetches := c.PollCount(), c.FetchCount(clienttest.KeyA)
		time.Sleep(5 * time.Minute)
		assert.Less(t, c.PollCount()-polls, 15)
		assert.Less(t, c.FetchCount(clienttest.KeyA)-fetches, 200)
		assert.Equal(t, asOf, clienttest.Get(t, client, clienttest.KeyA).Confirmed, "it is not what the server has, so nothing confirms it")
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyB).Confirmed), 30*time.Second)
		assert.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrUnavailable)

		c.FailFetches(nil)
		time.Sleep(30 * time.Second)
		assert.Equal(t, large("c"), a.Last().Content)
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed), 30*time.Second)
		assert.NoError(t, client.Status(clienttest.KeyA)[0].Err)
	})
}

func TestN1_Defect_C15_NothingCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Hour)
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		assert.Equal(t, []string{"a"}, r.Contents())
		assert.Less(t, c.PollCount(), 3600, "less than one attempt a second")

		// A program that starts now has its snapshot.
		other := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		assert.Equal(t, conf.SourceSnapshot, clienttest.Get(t, other, clienttest.KeyA).Source)
		c.Set(clienttest.KeyA, "b")
		c.Fail(nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "b", clienttest.Get(t, client, clienttest.KeyA).Content, "INV-5: soon after the fault heals")
		assert.Equal(t, "b", clienttest.Get(t, other, clienttest.KeyA).Content)
	})
}

func TestN6_HalfOpenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		hung := false
		c.With(func() {
			c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				if !hung {
					hung = true
					return nil, clienttest.Ended(ctx) // packets are dropped, nothing is said
				}
				return nil, nil
			}
		})
		time.Sleep(time.Second)
		c.Set(clienttest.KeyA, "b")
		time.Sleep(34 * time.Second)
		assert.Equal(t, "b", clienttest.Get(t, client, clienttest.KeyA).Content, "a new poll after the wait of the old one and 5 s")
	})
}

func TestN7_ProxyCutsIdleConnections(t *testing.T) {
	for name, cut := range map[string]struct {
		after time.Duration
		err   error // nil: the connection hangs
	}{
		"30s":         {30 * time.Second, clienttest.ErrDown},
		"10s":         {10 * time.Second, clienttest.ErrDown},
		"10s, silent": {10 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "0")
				var log clienttest.Logs
				client := clienttest.NewClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				var cuts atomic.Int32
				c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
					if req.Wait <= cut.after {
						return nil, nil
					}
					watching, cancel := context.WithCancel(ctx)
					defer cancel()
					select {
					case <-c.ChangedSince(watching):
						return nil, nil
					case <-time.After(cut.after):
						cuts.Add(1)
						if cut.err == nil {
							return nil, clienttest.Ended(ctx)
						}
						return nil, cut.err
					}
				}
				var r clienttest.Recorder
				clienttest.Subscribe(t, client, clienttest.KeyA, &r)
				time.Sleep(30 * time.Minute) // learns
				polls, cutsBefore := c.PollCount(), cuts.Load()
				const period = 2 * time.Hour
				time.Sleep(period)
				ideal := period.Seconds() / min(cut.after.Seconds(), 25)
				assert.LessOrEqual(t, float64(c.PollCount()-polls), math.Ceil(ideal*1.2), "of the ideal rate of polls")
				assert.LessOrEqual(t, cuts.Load()-cutsBefore, int32(12), "hardly any is cut any more")
				assert.NoError(t, client.Status(clienttest.KeyA)[0].Err)
				assert.NotContains(t, log.String(), "level=WARN")
				for _, content := range []string{"1", "2", "3"} {
					c.Set(clienttest.KeyA, content)
					time.Sleep(7 * time.Second)
				}
				assert.Equal(t, []string{"0", "1", "2", "3"}, r.Contents(), "none missed")
			})
		})
	}
}

func TestPoll_AProxyThatEatsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		c.With(func() {
			c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				if req.Wait > 0 {
					return nil, clienttest.Ended(ctx) // no answer that took long ever arrives
				}
				return nil, nil
			}
		})
		time.Sleep(time.Minute)
		for _, content := range []string{"1", "2", "3"} {
			c.Set(clienttest.KeyA, content)
			time.Sleep(33 * time.Second)
			require.Equal(t, content, r.Last().Content, "the slow comparison finds it")
		}
	})
}

func TestN12_N14_AnswersThatAreNotWhatWasAskedFor(t *testing.T) {
	for name, spoil := range map[string]func(*conf.Entry){
		"cut short":    func(e *conf.Entry) { e.Content = e.Content[:len(e.Content)-1] },
		"another key":  func(e *conf.Entry) { e.Key = clienttest.KeyB },
		"wrong digest": func(e *conf.Entry) { e.MD5 = conf.MD5Hex("other") },
		"flipped bit":  func(e *conf.Entry) { e.Content = string(e.Content[0]^1) + e.Content[1:] },
		"empty":        func(e *conf.Entry) { e.Content = "" },
		"no revision":  func(e *conf.Entry) { e.Revision = 0 },
		"wrong size":   func(e *conf.Entry) { e.Size++ },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "first")
				bad := 3
				c.Tamper = func(r *conf.FetchResponse) {
					if bad--; bad >= 0 {
						spoil(&r.Entry)
					}
				}
				client := clienttest.NewClient(t, c)
				var r clienttest.Recorder
				clienttest.Subscribe(t, client, clienttest.KeyA, &r)
				assert.Equal(t, c.Entries[clienttest.KeyA], clienttest.Get(t, client, clienttest.KeyA).Entry, "asked again until it is right")
				clienttest.Settle()

				c.With(func() {
					c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
						c.Mu.Lock()
						defer c.Mu.Unlock()
						resp, _ := c.Compare(req)
						for i := range resp.Changed {
							if e := resp.Changed[i].Entry; e != nil {
								spoil(e)
							}
						}
						if len(resp.Changed) == 0 {
							return nil, nil
						}
						return resp, nil
					}
					c.Announce()
				})
				c.Set(clienttest.KeyA, "second")
				time.Sleep(30 * time.Second)
				assert.Equal(t, []string{"first", "second"}, r.Contents(), "fetched, as what came inline could not be used")
				assert.Equal(t, c.Entries[clienttest.KeyA], r.Last().Entry)
			})
		})
	}
}

// An answer without a position is not accepted.
func TestN12_AnAnswerWithoutAPositionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Tamper = func(r *conf.FetchResponse) {
			if c.Fetches[clienttest.KeyA] == 1 {
				r.Position = conf.Position{}
			}
		}
		c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return nil, clienttest.ErrDown }
		client := clienttest.NewClient(t, c)
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		assert.Equal(t, 2, c.FetchCount(clienttest.KeyA))
	})
}

// The pauses between tries of one content do not count for the next.
func TestPoll_AContentThatFailedForLongDoesNotDelayTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 0
		c.Set(clienttest.KeyA, "1")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		overloaded := &conf.Error{Err: conf.ErrOverloaded, Remote: true}
		c.FailFetches(overloaded)
		c.Set(clienttest.KeyA, "2")
		time.Sleep(10 * time.Minute)
		c.FailFetches(nil)
		time.Sleep(time.Minute)
		c.FailFetches(overloaded)
		c.Set(clienttest.KeyA, "3")
		clienttest.Settle()
		c.FailFetches(nil)
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"1", "2", "3"}, r.Contents())
	})
}

// Keys that come one after the other do not end the parked poll each time.
func TestPoll_KeysThatKeepComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		const keys = 100
		for i := range keys {
			c.Set(clienttest.KeyN(i), "x")
			clienttest.Get(t, client, clienttest.KeyN(i))
			time.Sleep(20 * time.Millisecond)
		}
		clienttest.Settle()
		assert.Less(t, c.PollCount(), keys/4)
	})
}

// A Retry-After of servers is obeyed when contents are fetched too.
func TestPoll_ContentsAreFetchedAsRetryAfterSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 0
		c.Set(clienttest.KeyA, "1")
		client := clienttest.NewClient(t, c)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle()
		c.FailFetches(&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 4 * time.Minute, Remote: true})
		c.Set(clienttest.KeyA, "2")
		clienttest.Settle()
		fetches := c.FetchCount(clienttest.KeyA)
		time.Sleep(3 * time.Minute)
		assert.Equal(t, fetches, c.FetchCount(clienttest.KeyA))
		c.FailFetches(nil)
		time.Sleep(3 * time.Minute)
		assert.Equal(t, "2", clienttest.Get(t, client, clienttest.KeyA).Content)
	})
}

// A poll that names a newer content overtakes the answer to a first fetch. The newer
// content is fetched all the same.
func TestPoll_ANamedContentIsFetchedThoughAnOlderOneComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 0
		c.Set(clienttest.KeyA, "1")
		older := &conf.FetchResponse{Found: true, Entry: c.Entries[clienttest.KeyA], Position: c.Position()}
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		release := make(chan struct{})
		var asked atomic.Int32
		c.With(func() {
			c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				if asked.Add(1) == 1 {
					<-release
					return older, nil
				}
				return nil, clienttest.ErrDown
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { _, _ = client.Get(ctx, clienttest.KeyA) }()
		time.Sleep(2 * time.Second) // it is being fetched
		c.Set(clienttest.KeyA, "2")
		c.With(func() { c.OnPoll = nil })
		time.Sleep(5 * time.Second)
		close(release)
		clienttest.Settle()
		assert.Equal(t, []string{"1"}, r.Contents())
		c.FailFetches(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"1", "2"}, r.Contents())
	})
}

func TestN14_OldAnswersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "old")
		old := c.Position()
		oldEntry := c.Entries[clienttest.KeyA]
		c.Set(clienttest.KeyA, "new")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		require.Equal(t, "new", r.Last().Content)
		for _, resp := range []*conf.PollResponse{
			{Position: old, Changed: []conf.KeyState{{Key: clienttest.KeyA, Revision: oldEntry.Revision, View: oldEntry.View, MD5: oldEntry.MD5, Entry: &oldEntry}}},
			{Position: old, Changed: []conf.KeyState{{Key: clienttest.KeyA}}},
			{Position: c.Position(), Changed: []conf.KeyState{{Key: clienttest.KeyA, Revision: oldEntry.Revision, View: oldEntry.View, MD5: oldEntry.MD5, Entry: &oldEntry}}},
		} {
			c.With(func() {
				c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return resp, nil }
				c.Announce()
			})
			polls := c.PollCount()
			time.Sleep(time.Minute)
			assert.Less(t, c.PollCount()-polls, 70, "no hot loop")
			assert.Equal(t, []string{"new"}, r.Contents())
			assert.Equal(t, "new", clienttest.Get(t, client, clienttest.KeyA).Content)
		}
		c.Fail(nil)
		c.Set(clienttest.KeyA, "newer")
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"new", "newer"}, r.Contents())
	})
}

func TestINV4_NewEpochIsAnnouncedAndWhatItLostIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		kept := c.Position().Revision
		c.Set(clienttest.KeyB, "lost")
		var log clienttest.Logs
		client := clienttest.NewClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		clienttest.Settle()

		c.Fork(kept)
		clienttest.Settle()
		assert.Contains(t, log.String(), "new epoch")
		config := clienttest.Get(t, client, clienttest.KeyB)
		assert.Equal(t, "lost", config.Content)
		assert.True(t, config.Orphaned)
		assert.True(t, client.Status(clienttest.KeyB)[0].Orphaned)
		assert.False(t, clienttest.Get(t, client, clienttest.KeyA).Orphaned)
		assert.Equal(t, []string{"lost"}, b.Contents(), "nothing has changed for it")

		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.PollCount()-polls, 4, "an orphan does not make polls return")
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed), 30*time.Second)

		c.Set(clienttest.KeyB, "again")
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		assert.Equal(t, []string{"lost", "again"}, b.Contents())
		assert.False(t, clienttest.Get(t, client, clienttest.KeyB).Orphaned)
		assert.Equal(t, []string{"a", "-"}, a.Contents(), "a deletion in the new epoch is one")
	})
}

func TestNewEpoch_AnOlderValueOfItIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "kept")
		kept, entry := c.Position().Revision, c.Entries[clienttest.KeyA]
		c.Set(clienttest.KeyA, "lost")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		c.With(func() { c.Entries[clienttest.KeyA] = entry }) // which nobody hears of before the fork
		c.Fork(kept)
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"lost", "kept"}, r.Contents())
		old := clienttest.NewCentre() // a server that has not heard of the new epoch
		old.Set(clienttest.KeyA, "older")
		c.With(func() {
			c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return old.Poll(ctx, req)
			}
			c.Announce()
		})
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"lost", "kept"}, r.Contents(), "a lower generation is behind")
	})
}

func TestClient_OtherStoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "ours")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		other := clienttest.NewCentre()
		other.At.Store = conf.StoreID{9}
		for range 10 {
			other.Set(clienttest.KeyA, "theirs")
			other.Set(clienttest.KeyB, "theirs")
		}
		c.With(func() {
			c.OnPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return other.Poll(ctx, req)
			}
			c.OnFetch = func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
				return other.Fetch(ctx, &conf.FetchRequest{Key: req.Key})
			}
			c.Announce()
		})
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"ours"}, r.Contents())
		assert.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrOtherStore)
		_, err := client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrOtherStore)
		polls := c.PollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.PollCount()-polls, 70)
	})
}

func TestC11_FrozenProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		// For ten minutes nothing that the client sends gets anywhere.
		c.Hang()
		for i := range 20 {
			c.Set(clienttest.KeyA, strings.Repeat("x", i+1))
			time.Sleep(30 * time.Second)
		}
		c.Fail(nil)
		time.Sleep(31 * time.Second)
		assert.Equal(t, []string{"0", strings.Repeat("x", 20)}, r.Contents(), "no burst of stale calls")
	})
}

func TestPoll_BacksOffWhenOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "0")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		c.Fail(&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 20 * time.Second, Remote: true})
		time.Sleep(time.Second)
		polls := c.PollCount()
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, c.PollCount()-polls, 30)
		c.Fail(nil)
		time.Sleep(time.Minute)
		assert.NoError(t, client.Status(clienttest.KeyA)[0].Err)
	})
}
