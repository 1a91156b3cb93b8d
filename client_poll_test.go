package diamond_test

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
)

func TestC13_ManyKeysInOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 10_000
		c := newCentre()
		client := newClient(t, c)
		contents := make(map[conf.Key]string)
		for i := range n {
			contents[keyN(i)] = "x"
		}
		c.setAll(contents)
		before := runtime.NumGoroutine()
		var applied atomic.Int32
		for i := range n {
			if i%2 == 0 {
				_, err := client.Subscribe(keyN(i), diamond.ListenerFunc(func(context.Context, conf.Config) error { applied.Add(1); return nil }))
				require.NoError(t, err)
			} else if i%100 == 1 {
				get(t, client, keyN(i))
			}
		}
		for i := range n {
			get(t, client, keyN(i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(t, runtime.NumGoroutine()-before, 20, "goroutines do not grow with the keys")
		assert.Equal(t, int32(n/2), applied.Load())
		polls := c.pollCount()
		assert.LessOrEqual(t, polls, 20, "new keys join in groups")

		for i := range 10 {
			c.set(keyN(i), "y")
			synctest.Wait()
		}
		assert.Equal(t, polls+10, c.pollCount(), "one poll a change")
		wire, err := json.Marshal(c.lastPoll())
		require.NoError(t, err)
		assert.LessOrEqual(t, len(wire), 64<<10, "only the name of the set goes up")
		assert.Equal(t, "y", get(t, client, keyN(9)).Content)
	})
}

func TestPoll_NewKeysJoinTheParkedPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		get(t, client, keyB)
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		c.set(keyB, "b2")
		synctest.Wait()
		assert.Equal(t, "b2", get(t, client, keyB).Content, "the poll that was parked has been sent again with the new key")
	})
}

func TestPoll_KeyOfWhichNothingIsKnownJoinsASetThatIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b") // before the position that the client has reached with the other key
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		c.set(keyA, "a2")
		settle()
		c.failFetches(errDown)
		var r recorder
		subscribe(t, client, keyB, &r)
		settle()
		assert.Equal(t, []string{"b"}, r.contents(), "the poll brings what the first fetch could not")
		assert.Equal(t, []conf.Held{{Key: keyB}}, c.polls[len(c.polls)-2].Held)
	})
}

func TestPoll_ALargeContentAfterADeletionThatWasSeenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		c.remove(keyA)
		settle()
		c.with(func() {
			c.inline = 0
			c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) { return nil, errDown }
		})
		c.set(keyA, "large")
		settle()
		get(t, client, func() conf.Key { c.failFetches(nil); c.set(keyB, "b"); return keyB }())
		time.Sleep(30 * time.Second) // polls have moved on past the revision of the content
		assert.Equal(t, []string{"a", "-", "large"}, r.contents())
	})
}

func TestPoll_AnAbsenceIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyB, "b")
		c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) { return nil, errDown }
		client := newClient(t, c)
		start := time.Now()
		require.ErrorIs(t, subscribe(t, client, keyA, &recorder{}).Wait(t.Context()), conf.ErrNotFound)
		assert.Less(t, time.Since(start), time.Second, "not at the end of a wait")
	})
}

func TestPoll_Resync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		client := newClient(t, c)
		get(t, client, keyA)
		get(t, client, keyB)
		settle()
		c.with(func() { clear(c.sets) }) // as another server, or the same after a restart
		c.set(keyB, "b2")
		c.set(keyA, "a2")
		settle()
		assert.Equal(t, "a2", get(t, client, keyA).Content)
		assert.Equal(t, "b2", get(t, client, keyB).Content)

		c.with(func() {
			c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{Resync: true}, nil
			}
			c.announce()
		})
		c.set(keyA, "a3")
		settle()
		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.pollCount()-polls, 60, "a server that asks for it for ever does not make us spin")
	})
}

func TestPoll_DrainingServerIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		var draining atomic.Bool
		draining.Store(true)
		c.with(func() {
			c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				if draining.Load() {
					return &conf.PollResponse{Draining: true}, nil
				}
				return nil, nil
			}
		})
		c.set(keyB, "unrelated")
		c.set(keyA, "a2") // ends the parked poll
		synctest.Wait()
		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.pollCount()-polls, 60, "where all drain there are pauses")
		draining.Store(false)
		time.Sleep(4 * time.Second)
		assert.Equal(t, "a2", get(t, client, keyA).Content)
	})
}

func TestPoll_AServerThatAnswersAtOnceWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		c.with(func() {
			c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{Position: c.position()}, nil
			}
			c.announce()
		})
		c.set(keyA, "b")
		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.pollCount()-polls, 60)
	})
}

func TestPoll_LargeContents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		large := func(s string) string { return strings.Repeat(s, conf.InlineContent+1) }
		c.setAll(map[conf.Key]string{keyA: large("a"), keyB: "small"})
		client := newClient(t, c)
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		settle()
		c.setAll(map[conf.Key]string{keyA: large("b"), keyB: "small 2"})
		synctest.Wait()
		assert.Equal(t, large("b"), a.last().Content)
		assert.Equal(t, 2, c.fetchCount(keyA))
		assert.Equal(t, 1, c.fetchCount(keyB))

		// While the content cannot be had, others go on and nobody spins.
		time.Sleep(time.Hour)
		before := get(t, client, keyA).Confirmed
		c.failFetches(errDown)
		c.setAll(map[conf.Key]string{keyA: large("c"), keyB: "small 3"})
		settle()
		assert.Equal(t, "small 3", b.last().Content)
		assert.Equal(t, large("b"), get(t, client, keyA).Content)
		asOf := get(t, client, keyA).Confirmed
		assert.False(t, asOf.Before(before), "what was confirmed stays so")
		polls, fetches := c.pollCount(), c.fetchCount(keyA)
		time.Sleep(5 * time.Minute)
		assert.Less(t, c.pollCount()-polls, 15)
		assert.Less(t, c.fetchCount(keyA)-fetches, 200)
		assert.Equal(t, asOf, get(t, client, keyA).Confirmed, "it is not what the server has, so nothing confirms it")
		assert.Less(t, time.Since(get(t, client, keyB).Confirmed), 30*time.Second)
		assert.ErrorIs(t, client.Status(keyA)[0].Err, conf.ErrUnavailable)

		c.failFetches(nil)
		time.Sleep(30 * time.Second)
		assert.Equal(t, large("c"), a.last().Content)
		assert.Less(t, time.Since(get(t, client, keyA).Confirmed), 30*time.Second)
		assert.NoError(t, client.Status(keyA)[0].Err)
	})
}

func TestN1_Defect_C15_NothingCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		c.fail(errDown)
		time.Sleep(time.Hour)
		assert.Equal(t, "a", get(t, client, keyA).Content)
		assert.Equal(t, []string{"a"}, r.contents())
		assert.Less(t, c.pollCount(), 3600, "less than one attempt a second")

		// A program that starts now has its snapshot.
		other := newClient(t, c, diamond.WithLocalFiles(local))
		assert.Equal(t, conf.SourceSnapshot, get(t, other, keyA).Source)
		c.set(keyA, "b")
		c.fail(nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "b", get(t, client, keyA).Content, "INV-5: soon after the fault heals")
		assert.Equal(t, "b", get(t, other, keyA).Content)
	})
}

func TestN6_HalfOpenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		get(t, client, keyA)
		hung := false
		c.with(func() {
			c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				if !hung {
					hung = true
					return nil, ended(ctx) // packets are dropped, nothing is said
				}
				return nil, nil
			}
		})
		time.Sleep(time.Second)
		c.set(keyA, "b")
		time.Sleep(34 * time.Second)
		assert.Equal(t, "b", get(t, client, keyA).Content, "a new poll after the wait of the old one and 5 s")
	})
}

func TestN7_ProxyCutsIdleConnections(t *testing.T) {
	for name, cut := range map[string]struct {
		after time.Duration
		err   error // nil: the connection hangs
	}{
		"30s":         {30 * time.Second, errDown},
		"10s":         {10 * time.Second, errDown},
		"10s, silent": {10 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, "0")
				var log logs
				client := newClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				var cuts atomic.Int32
				c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
					if req.Wait <= cut.after {
						return nil, nil
					}
					watching, cancel := context.WithCancel(ctx)
					defer cancel()
					select {
					case <-c.changedSince(watching):
						return nil, nil
					case <-time.After(cut.after):
						cuts.Add(1)
						if cut.err == nil {
							return nil, ended(ctx)
						}
						return nil, cut.err
					}
				}
				var r recorder
				subscribe(t, client, keyA, &r)
				time.Sleep(30 * time.Minute) // learns
				polls, cutsBefore := c.pollCount(), cuts.Load()
				const period = 2 * time.Hour
				time.Sleep(period)
				ideal := period.Seconds() / min(cut.after.Seconds(), 25)
				assert.LessOrEqual(t, float64(c.pollCount()-polls), math.Ceil(ideal*1.2), "of the ideal rate of polls")
				assert.LessOrEqual(t, cuts.Load()-cutsBefore, int32(12), "hardly any is cut any more")
				assert.NoError(t, client.Status(keyA)[0].Err)
				assert.NotContains(t, log.String(), "level=WARN")
				for _, content := range []string{"1", "2", "3"} {
					c.set(keyA, content)
					time.Sleep(7 * time.Second)
				}
				assert.Equal(t, []string{"0", "1", "2", "3"}, r.contents(), "none missed")
			})
		})
	}
}

// changedSince returns a channel that is closed at the next change, or when ctx ends.
func (c *centre) changedSince(ctx context.Context) <-chan struct{} {
	c.mu.Lock()
	changed := c.changed
	c.mu.Unlock()
	out := make(chan struct{})
	go func() {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		close(out)
	}()
	return out
}

func TestPoll_AProxyThatEatsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "0")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		c.with(func() {
			c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				if req.Wait > 0 {
					return nil, ended(ctx) // no answer that took long ever arrives
				}
				return nil, nil
			}
		})
		time.Sleep(time.Minute)
		for _, content := range []string{"1", "2", "3"} {
			c.set(keyA, content)
			time.Sleep(33 * time.Second)
			require.Equal(t, content, r.last().Content, "the slow comparison finds it")
		}
	})
}

func TestN12_N14_AnswersThatAreNotWhatWasAskedFor(t *testing.T) {
	for name, spoil := range map[string]func(*conf.Entry){
		"cut short":    func(e *conf.Entry) { e.Content = e.Content[:len(e.Content)-1] },
		"another key":  func(e *conf.Entry) { e.Key = keyB },
		"wrong digest": func(e *conf.Entry) { e.MD5 = conf.MD5Hex("other") },
		"flipped bit":  func(e *conf.Entry) { e.Content = string(e.Content[0]^1) + e.Content[1:] },
		"empty":        func(e *conf.Entry) { e.Content = "" },
		"no revision":  func(e *conf.Entry) { e.Revision = 0 },
		"wrong size":   func(e *conf.Entry) { e.Size++ },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, "first")
				bad := 3
				c.tamper = func(r *conf.FetchResponse) {
					if bad--; bad >= 0 {
						spoil(&r.Entry)
					}
				}
				client := newClient(t, c)
				var r recorder
				subscribe(t, client, keyA, &r)
				assert.Equal(t, c.entries[keyA], get(t, client, keyA).Entry, "asked again until it is right")
				settle()

				c.with(func() {
					c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
						c.mu.Lock()
						defer c.mu.Unlock()
						resp, _ := c.compare(req)
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
					c.announce()
				})
				c.set(keyA, "second")
				time.Sleep(30 * time.Second)
				assert.Equal(t, []string{"first", "second"}, r.contents(), "fetched, as what came inline could not be used")
				assert.Equal(t, c.entries[keyA], r.last().Entry)
			})
		})
	}
}

// An answer that says nothing of when it was so is none.
func TestN12_AnAnswerWithoutAPositionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.tamper = func(r *conf.FetchResponse) {
			if c.fetches[keyA] == 1 {
				r.Position = conf.Position{}
			}
		}
		c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return nil, errDown }
		client := newClient(t, c)
		assert.Equal(t, "a", get(t, client, keyA).Content)
		assert.Equal(t, 2, c.fetchCount(keyA))
	})
}

// The pauses between tries of one content do not count for the next.
func TestPoll_AContentThatFailedForLongDoesNotDelayTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 0
		c.set(keyA, "1")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		overloaded := &conf.Error{Err: conf.ErrOverloaded, Remote: true}
		c.failFetches(overloaded)
		c.set(keyA, "2")
		time.Sleep(10 * time.Minute)
		c.failFetches(nil)
		time.Sleep(time.Minute)
		c.failFetches(overloaded)
		c.set(keyA, "3")
		settle()
		c.failFetches(nil)
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"1", "2", "3"}, r.contents())
	})
}

// Keys that come one after the other do not end the parked poll each time.
func TestPoll_KeysThatKeepComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		const keys = 100
		for i := range keys {
			c.set(keyN(i), "x")
			get(t, client, keyN(i))
			time.Sleep(20 * time.Millisecond)
		}
		settle()
		assert.Less(t, c.pollCount(), keys/4)
	})
}

// Servers that ask for peace have it, where contents are fetched too.
func TestPoll_ContentsAreFetchedAsRetryAfterSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 0
		c.set(keyA, "1")
		client := newClient(t, c)
		subscribe(t, client, keyA, &recorder{})
		settle()
		c.failFetches(&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 4 * time.Minute, Remote: true})
		c.set(keyA, "2")
		settle()
		fetches := c.fetchCount(keyA)
		time.Sleep(3 * time.Minute)
		assert.Equal(t, fetches, c.fetchCount(keyA))
		c.failFetches(nil)
		time.Sleep(3 * time.Minute)
		assert.Equal(t, "2", get(t, client, keyA).Content)
	})
}

// The answer to a first fetch is overtaken by a poll that names a newer content: that
// one is fetched all the same.
func TestPoll_ANamedContentIsFetchedThoughAnOlderOneComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.inline = 0
		c.set(keyA, "1")
		older := &conf.FetchResponse{Found: true, Entry: c.entries[keyA], Position: c.position()}
		c.fail(errDown)
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		release := make(chan struct{})
		var asked atomic.Int32
		c.with(func() {
			c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
				if asked.Add(1) == 1 {
					<-release
					return older, nil
				}
				return nil, errDown
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { _, _ = client.Get(ctx, keyA) }()
		time.Sleep(2 * time.Second) // it is being fetched
		c.set(keyA, "2")
		c.with(func() { c.onPoll = nil })
		time.Sleep(5 * time.Second)
		close(release)
		settle()
		assert.Equal(t, []string{"1"}, r.contents())
		c.failFetches(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"1", "2"}, r.contents())
	})
}

func TestN14_OldAnswersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "old")
		old := c.position()
		oldEntry := c.entries[keyA]
		c.set(keyA, "new")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		require.Equal(t, "new", r.last().Content)
		for _, resp := range []*conf.PollResponse{
			{Position: old, Changed: []conf.KeyState{{Key: keyA, Revision: oldEntry.Revision, View: oldEntry.View, MD5: oldEntry.MD5, Entry: &oldEntry}}},
			{Position: old, Changed: []conf.KeyState{{Key: keyA}}},
			{Position: c.position(), Changed: []conf.KeyState{{Key: keyA, Revision: oldEntry.Revision, View: oldEntry.View, MD5: oldEntry.MD5, Entry: &oldEntry}}},
		} {
			c.with(func() {
				c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return resp, nil }
				c.announce()
			})
			polls := c.pollCount()
			time.Sleep(time.Minute)
			assert.Less(t, c.pollCount()-polls, 70, "no hot loop")
			assert.Equal(t, []string{"new"}, r.contents())
			assert.Equal(t, "new", get(t, client, keyA).Content)
		}
		c.fail(nil)
		c.set(keyA, "newer")
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"new", "newer"}, r.contents())
	})
}

func TestINV4_NewEpochIsAnnouncedAndWhatItLostIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		kept := c.position().Revision
		c.set(keyB, "lost")
		var log logs
		client := newClient(t, c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		settle()

		c.fork(kept)
		settle()
		assert.Contains(t, log.String(), "new epoch")
		config := get(t, client, keyB)
		assert.Equal(t, "lost", config.Content)
		assert.True(t, config.Orphaned)
		assert.True(t, client.Status(keyB)[0].Orphaned)
		assert.False(t, get(t, client, keyA).Orphaned)
		assert.Equal(t, []string{"lost"}, b.contents(), "nothing has changed for it")

		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.pollCount()-polls, 4, "an orphan does not make polls return")
		assert.Less(t, time.Since(get(t, client, keyA).Confirmed), 30*time.Second)

		c.set(keyB, "again")
		c.remove(keyA)
		settle()
		assert.Equal(t, []string{"lost", "again"}, b.contents())
		assert.False(t, get(t, client, keyB).Orphaned)
		assert.Equal(t, []string{"a", "-"}, a.contents(), "a deletion in the new epoch is one")
	})
}

func TestNewEpoch_AnOlderValueOfItIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "kept")
		kept, entry := c.position().Revision, c.entries[keyA]
		c.set(keyA, "lost")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		c.with(func() { c.entries[keyA] = entry }) // which nobody hears of before the fork
		c.fork(kept)
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"lost", "kept"}, r.contents())
		old := newCentre() // a server that has not heard of the new epoch
		old.set(keyA, "older")
		c.with(func() {
			c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return old.Poll(ctx, req)
			}
			c.announce()
		})
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"lost", "kept"}, r.contents(), "a lower generation is behind")
	})
}

func TestClient_OtherStoreIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "ours")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		other := newCentre()
		other.at.Store = conf.StoreID{9}
		for range 10 {
			other.set(keyA, "theirs")
			other.set(keyB, "theirs")
		}
		c.with(func() {
			c.onPoll = func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return other.Poll(ctx, req)
			}
			c.onFetch = func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
				return other.Fetch(ctx, &conf.FetchRequest{Key: req.Key})
			}
			c.announce()
		})
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"ours"}, r.contents())
		assert.ErrorIs(t, client.Status(keyA)[0].Err, conf.ErrOtherStore)
		_, err := client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrOtherStore)
		polls := c.pollCount()
		time.Sleep(time.Minute)
		assert.Less(t, c.pollCount()-polls, 70)
	})
}

func TestC11_FrozenProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "0")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		// For ten minutes nothing that the client sends gets anywhere.
		c.hang()
		for i := range 20 {
			c.set(keyA, strings.Repeat("x", i+1))
			time.Sleep(30 * time.Second)
		}
		c.fail(nil)
		time.Sleep(31 * time.Second)
		assert.Equal(t, []string{"0", strings.Repeat("x", 20)}, r.contents(), "no burst of stale calls")
	})
}

func TestPoll_BacksOffWhenOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "0")
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		c.fail(&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 20 * time.Second, Remote: true})
		time.Sleep(time.Second)
		polls := c.pollCount()
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, c.pollCount()-polls, 30)
		c.fail(nil)
		time.Sleep(time.Minute)
		assert.NoError(t, client.Status(keyA)[0].Err)
	})
}
