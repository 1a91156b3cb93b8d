package transport_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// faults are ways in which one of several servers is not well.
var faults = map[string]func(c *cluster, addr string){
	"silent":   func(c *cluster, addr string) { c.faulty[addr].Partition() },
	"dead":     func(c *cluster, addr string) { c.faulty[addr].Fail(conf.Errorf(conf.ErrUnavailable, "down")) },
	"draining": func(c *cluster, addr string) { c.srv[addr].Drain() },
	"slow":     func(c *cluster, addr string) { c.faulty[addr].Delay(4 * time.Second) },
}

// One of several servers is not well. Every program that starts has the present
// value within a second, with all defaults, whichever server it happens to ask first.
func TestEveryStartFindsAServerThatIsWell(t *testing.T) {
	for name, fault := range faults {
		for _, addrs := range [][]string{{"a", "b"}, {"a", "b", "c"}} {
			t.Run(fmt.Sprintf("%s of %d", name, len(addrs)), func(t *testing.T) {
				first := 0
				for range campaign.Scale(t, 40, 100) {
					synctest.Test(t, func(t *testing.T) {
						c := newCluster(t, addrs...)
						_, err := put(c.srv["b"], "")
						require.NoError(t, err)
						time.Sleep(time.Second) // all servers have it
						fault(c, "a")
						client, err := diamond.NewClient(c.balance(transport.Static(addrs...)))
						require.NoError(t, err)
						started := time.Now()
						config, err := client.Get(context.Background(), conf.NewKey("", "k"))
						require.NoError(t, err)
						assert.Equal(t, "x", config.Content)
						assert.Equal(t, conf.SourceServer, config.Source)
						assert.Less(t, time.Since(started), time.Second)
						if asked, _ := c.faulty["a"].Calls(); asked > 0 {
							first++
						}
						require.NoError(t, client.Close())
					})
				}
				assert.NotZero(t, first, "starts that asked the one that is not well")
			})
		}
	}
}

// A server that was well goes silent. What is asked next has its answer from
// another one, which is then the one that is asked.
func TestBalance_ASilentServerIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		b := c.balance(transport.Static("a", "b", "c"))
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)[0]
		c.faulty[was].Partition()
		started := time.Now()
		require.NoError(t, get(b))
		assert.Less(t, time.Since(started), time.Second)
		c.asked(since)
		for range 20 {
			started := time.Now()
			require.NoError(t, get(b))
			assert.Zero(t, time.Since(started))
			time.Sleep(time.Second)
		}
		assert.Len(t, c.asked(since), 1, "it stays with the one that has answered")
	})
}

// Where there is one server alone, it is waited for.
func TestBalance_ASlowServerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		c.faulty["a"].Delay(3 * time.Second)
		b := c.balance(transport.Static("a"))
		require.NoError(t, get(b))
		made, _ := c.faulty["a"].Calls()
		assert.Equal(t, 1, made)
	})
}

// All are slow: the first answer counts, and all others end with the call.
func TestBalance_AllServersSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		for _, f := range c.faulty {
			f.Delay(2 * time.Second)
		}
		b := c.balance(transport.Static("a", "b", "c"))
		started := time.Now()
		require.NoError(t, get(b))
		assert.Equal(t, 2*time.Second, time.Since(started))
		synctest.Wait()
		for addr, f := range c.faulty {
			made, answered := f.Calls()
			assert.Equal(t, 1, made, addr)
			assert.LessOrEqual(t, answered, 1, addr)
		}
	})
}

// A server whose answer is coming is not silent: a large content is not asked for
// twice. Where it stalls, the other server is asked as if nothing had come.
func TestBalance_AServerIsOvertakenWhenItsAnswerStalls(t *testing.T) {
	for name, test := range map[string]struct {
		pieces int // of the first answer that come, one every 300 ms; then nothing does
		whole  bool
		took   time.Duration
		asked  int
	}{
		"slow":                     {60, true, 18 * time.Second, 1},
		"stalls at the beginning":  {1, false, 700 * time.Millisecond, 2},
		"stalls later":             {3, false, 1300 * time.Millisecond, 2},
		"stalls before its end":    {59, false, 59*300*time.Millisecond + 400*time.Millisecond, 2},
		"stalls before it is read": {0, false, 400 * time.Millisecond, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sending{pieces: test.pieces, whole: test.whole}
				b := transport.NewBalancer(transport.Static("a", "b"), func(string) (diamond.Transport, error) { return s, nil })
				defer b.Close()
				started := time.Now()
				require.NoError(t, get(b))
				assert.Equal(t, test.took, time.Since(started))
				assert.Equal(t, int32(test.asked), s.asked.Load())
			})
		})
	}
}

// Any of several answers that comes on is waited for.
func TestBalance_NoThirdServerIsAskedWhileAnAnswerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sending{silent: 450 * time.Millisecond, others: 20 * time.Second, pieces: 60, whole: true}
		b := transport.NewBalancer(transport.Static("a", "b", "c"), func(string) (diamond.Transport, error) { return s, nil })
		defer b.Close()
		require.NoError(t, get(b))
		assert.Equal(t, int32(2), s.asked.Load())
	})
}

// sending are servers of which the one that is asked first answers slowly.
type sending struct {
	diamond.Transport
	asked          atomic.Int32
	silent, others time.Duration // before the first one says anything, and before the others answer
	pieces         int
	whole          bool // after the pieces the answer is there
}

func (s *sending) Fetch(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
	pause := func(d time.Duration) { // fake time: in the bubbles of tests
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	if s.asked.Add(1) > 1 {
		pause(s.others)
		return &conf.FetchResponse{}, ctx.Err()
	}
	pause(s.silent)
	for range s.pieces {
		pause(300 * time.Millisecond)
		transport.Heard(ctx)
	}
	if !s.whole {
		<-ctx.Done()
	}
	return &conf.FetchResponse{}, ctx.Err()
}

// A poll that waits is parked only at a server that has answered lately: from
// one that is silent nothing would be heard for as long as it waits.
func TestBalance_APollIsParkedOnlyWhereAnAnswerCameFrom(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			at, err := put(c.srv["b"], "")
			require.NoError(t, err)
			time.Sleep(time.Second) // both have it
			c.faulty["a"].Partition()
			b := c.balance(transport.Static("a", "b"))
			keys := []conf.Key{conf.NewKey("", "k")}
			poll := &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Position: at.Position, Wait: 20 * time.Second}
			started := time.Now()
			res, err := b.Poll(t.Context(), poll)
			require.NoError(t, err)
			assert.Empty(t, res.Changed)
			assert.InDelta(t, 20, time.Since(started).Seconds(), 1, "it has waited, where there is an answer")

			time.Sleep(time.Hour) // what was heard an hour ago says nothing
			c.faulty["a"].Heal()
			c.faulty["b"].Partition()
			started = time.Now()
			_, err = b.Changes(t.Context(), &conf.ChangesRequest{After: at.Position, Wait: 20 * time.Second})
			require.NoError(t, err)
			assert.InDelta(t, 20, time.Since(started).Seconds(), 1)
		})
	}
}

// What a poll brings that does not wait is not waited for.
func TestBalance_AFirstPollBringsWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newCluster(t, "a")
		_, err := put(srv.srv["a"], "")
		require.NoError(t, err)
		b := transport.NewBalancer(transport.Static("a"), func(string) (diamond.Transport, error) { return transporttest.NewFaulty(srv.srv["a"]), nil })
		defer b.Close()
		keys := []conf.Key{conf.NewKey("", "k")}
		started := time.Now()
		res, err := b.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Wait: time.Minute})
		require.NoError(t, err)
		assert.Len(t, res.Changed, 1)
		assert.Zero(t, time.Since(started))
	})
}

// A server that has failed is asked first whether it answers at all, though it is
// the only one and has answered a moment ago.
func TestBalance_NoPollIsParkedAtAServerThatHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		at, err := put(c.srv["a"], "")
		require.NoError(t, err)
		b := c.balance(transport.Static("a"))
		require.NoError(t, get(b))
		c.faulty["a"].Fail(conf.Errorf(conf.ErrUnavailable, "down"))
		require.Error(t, get(b))
		c.faulty["a"].Heal()
		before, _ := c.faulty["a"].Calls()
		keys := []conf.Key{conf.NewKey("", "k")}
		_, err = b.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Position: at.Position, Wait: 20 * time.Second})
		require.NoError(t, err)
		after, _ := c.faulty["a"].Calls()
		assert.Equal(t, 2, after-before, "one that does not wait, and then one that does")
	})
}
