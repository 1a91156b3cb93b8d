package follower_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
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
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// states records what a listener of keyA and keyB is called with: "a b", with
// "-" for one that is not there.
type states struct {
	mu      sync.Mutex
	seen    []string
	ats     []conf.Position
	verdict func(state string) error // nil: applies all
}

func (s *states) onConfigs(_ context.Context, configs map[conf.Key]conf.Config, at conf.Position) error {
	text := func(key conf.Key) string {
		config, ok := configs[key]
		if !ok {
			return "-"
		}
		return strings.TrimSpace(config.Content)
	}
	s.mu.Lock()
	state := text(clienttest.KeyA) + " " + text(clienttest.KeyB)
	s.seen, s.ats = append(s.seen, state), append(s.ats, at)
	verdict := s.verdict
	s.mu.Unlock()
	if verdict != nil {
		return verdict(state)
	}
	return nil
}

func (s *states) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

func subscribeBoth(t *testing.T, client diamond.Client, s *states) *diamond.Subscription {
	t.Helper()
	sub, err := client.SubscribeTogether([]conf.Key{clienttest.KeyA, clienttest.KeyB, clienttest.KeyA}, s.onConfigs)
	require.NoError(t, err)
	t.Cleanup(sub.Stop)
	return sub
}

// A listener sees sets whole and in order, and always the last one, even if contents are so
// large that polls only name them. When a listener of one key runs, Get returns at least
// the same set's value of the other key, unless a content is missing.
func TestSubscribeTogether_SeesChangeSetsWhole(t *testing.T) {
	for name, size := range map[string]int{"small": 0, "one is only named": conf.InlineContent + 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := servertest.Serve(t, memstore.New())
				other := clienttest.NewClient(t, srv)
				client := clienttest.NewClient(t, srv)
				put := func(by diamond.Client, n int) {
					text := strconv.Itoa(n)
					_, err := by.Commit(t.Context(), conf.ChangeSet{Drafts: []conf.Draft{
						{Key: clienttest.KeyA, Content: text}, {Key: clienttest.KeyB, Content: text + strings.Repeat(" ", size)},
					}})
					require.NoError(t, err)
				}
				put(other, 0)
				var s states
				sub := subscribeBoth(t, client, &s)
				require.NoError(t, sub.Wait(t.Context()))
				clienttest.Settle()
				clienttest.Subscribe(t, client, clienttest.KeyA, diamond.ListenerFunc(func(ctx context.Context, a conf.Config) error {
					b, err := client.Get(ctx, clienttest.KeyB)
					assert.NoError(t, err)
					assert.GreaterOrEqual(t, b.Revision, a.Revision, "a set has one revision")
					return nil
				}))
				clienttest.Settle()
				const sets = 300
				for n := 1; n <= sets; n++ {
					put([]diamond.Client{other, other, client}[rand.N(3)], n)
					time.Sleep(rand.N(4 * time.Millisecond))
				}
				clienttest.Settle()
				seen, before := s.all(), -1
				for i, state := range seen {
					a, b, _ := strings.Cut(state, " ")
					assert.Equal(t, a, b)
					n, err := strconv.Atoi(a)
					require.NoError(t, err)
					assert.Greater(t, n, before, "in order, and none twice")
					before = n
					if i > 0 {
						assert.Positive(t, s.ats[i].Compare(s.ats[i-1]))
					}
				}
				assert.Equal(t, sets, before, "the last one is seen")
				assert.Greater(t, len(seen), sets/10)
			})
		})
	}
}

// One late content delays the whole set, but the present values stay available.
func TestSubscribeTogether_WaitsForContentsOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 3
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1-large", clienttest.KeyB: "1"})
		client := clienttest.NewClient(t, c)
		var s states
		sub := subscribeBoth(t, client, &s)
		require.NoError(t, sub.Wait(t.Context()))
		c.FailFetches(clienttest.ErrDown)
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "2-large", clienttest.KeyB: "2"})
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"1-large 1"}, s.all())
		assert.Equal(t, "2", clienttest.Get(t, client, clienttest.KeyB).Content)
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrUnavailable)

		// What comes is of a later position than the others are known at.
		c.FailFetches(nil)
		c.Set(clienttest.KeyN(1), "of no matter")
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"1-large 1", "2-large 2"}, s.all())
		require.NoError(t, sub.Wait(t.Context()))
	})
}

// The content that delayed a set turns out to be equal to what the listener has. The
// listener is still called, because the other key has changed.
func TestSubscribeTogether_ALateContentThatIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Inline = 3
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "large"})
		client := clienttest.NewClient(t, c)
		var s states
		require.NoError(t, subscribeBoth(t, client, &s).Wait(t.Context()))
		c.FailFetches(clienttest.ErrDown)
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "2", clienttest.KeyB: "large"})
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"1 large"}, s.all())
		c.FailFetches(nil)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"1 large", "2 large"}, s.all())
	})
}

func TestSubscribeTogether_KeysThatDoNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		var s states
		sub := subscribeBoth(t, client, &s)
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrNotFound)
		clienttest.Settle()
		assert.Empty(t, s.all(), "there is nothing to tell")
		c.Set(clienttest.KeyB, "1")
		clienttest.Settle()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "2", clienttest.KeyB: "2"})
		clienttest.Settle()
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		require.NoError(t, sub.Wait(t.Context()))
		c.Remove(clienttest.KeyB)
		clienttest.Settle()
		assert.Equal(t, []string{"- 1", "2 2", "- 2", "- -"}, s.all())
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrNotFound)
	})
}

// A rejected state is rejected for each of its keys. It is tried again when one of them is
// published again.
func TestSubscribeTogether_Rejects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "1"})
		client := clienttest.NewClient(t, c)
		refused := errors.New("refused")
		s := states{verdict: func(state string) error {
			if state == "2 2" {
				return refused
			}
			return nil
		}}
		sub := subscribeBoth(t, client, &s)
		require.NoError(t, sub.Wait(t.Context()))
		clienttest.Settle()
		bad := c.SetAll(map[conf.Key]string{clienttest.KeyA: "2", clienttest.KeyB: "2"})
		clienttest.Settle()
		require.ErrorIs(t, sub.Wait(t.Context()), refused)
		for _, status := range client.Status(clienttest.KeyA, clienttest.KeyB) {
			assert.Equal(t, bad, status.Rejected)
			require.ErrorIs(t, status.Err, refused)
		}
		for _, key := range []conf.Key{clienttest.KeyA, clienttest.KeyB} {
			assert.Contains(t, c.Reported(), conf.Report{Key: key, Revision: 1, Applied: true})
			assert.Contains(t, c.Reported(), conf.Report{Key: key, Revision: bad, Reason: "error"})
		}
		c.Set(clienttest.KeyB, "2")
		clienttest.Settle()
		good := c.Set(clienttest.KeyA, "3")
		clienttest.Settle()
		assert.Equal(t, []string{"1 1", "2 2", "2 2", "3 2"}, s.all())
		require.NoError(t, sub.Wait(t.Context()))
		assert.Contains(t, c.Reported(), conf.Report{Key: clienttest.KeyA, Revision: good, Applied: true})
		c.Set(clienttest.KeyA, "3")
		clienttest.Settle()
		assert.Len(t, s.all(), 4, "an equal value of one that was applied calls nobody")
		assert.Equal(t, conf.Report{Key: clienttest.KeyA, Revision: good + 1, Applied: true}, c.Reported()[len(c.Reported())-1])
	})
}

// A slow listener skips states that were replaced meanwhile, and delays nobody else.
func TestSubscribeTogether_SlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "0", clienttest.KeyB: "0"})
		client := clienttest.NewClient(t, c)
		release := make(chan struct{})
		slow := states{verdict: func(string) error { <-release; return nil }}
		var quick states
		subscribeBoth(t, client, &slow)
		subscribeBoth(t, client, &quick)
		clienttest.Settle()
		for n := range 5 {
			text := strconv.Itoa(n + 1)
			c.SetAll(map[conf.Key]string{clienttest.KeyA: text, clienttest.KeyB: text})
			clienttest.Settle()
		}
		assert.Equal(t, []string{"0 0", "1 1", "2 2", "3 3", "4 4", "5 5"}, quick.all())
		assert.Empty(t, c.Reported(), "one of the two has not applied anything")
		close(release)
		clienttest.Settle()
		assert.Equal(t, []string{"0 0", "5 5"}, slow.all())
	})
}

func TestSubscribeTogether_StopAndClose(t *testing.T) {
	for name, inside := range map[string]bool{"from outside": false, "from within": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "1"})
				client := clienttest.NewClient(t, c)
				var stopped, closed states
				sub := subscribeBoth(t, client, &stopped)
				require.NoError(t, sub.Wait(t.Context()))
				closed.verdict = func(string) error {
					if inside {
						assert.NoError(t, client.Close())
					}
					return nil
				}
				sub.Stop()
				sub.Stop()
				require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrClosed)
				assert.Zero(t, client.Status(clienttest.KeyB)[0].Listeners)
				subscribeBoth(t, client, &closed)
				clienttest.Settle()
				require.NoError(t, client.Close())
				c.Set(clienttest.KeyA, "2")
				clienttest.Settle()
				assert.Len(t, stopped.all(), 1)
				assert.Len(t, closed.all(), 1)
			})
		})
	}
}

// Wait and Stop wait for the call under way, unless they are called from within it.
func TestSubscribeTogether_WaitAndStopWaitForTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "1"})
		client := clienttest.NewClient(t, c)
		var sub *diamond.Subscription
		subscribed := make(chan struct{})
		var returned atomic.Int32
		s := states{verdict: func(string) error {
			<-subscribed
			start := time.Now()
			assert.NoError(t, sub.Wait(t.Context()))
			assert.Zero(t, time.Since(start))
			time.Sleep(time.Second)
			returned.Add(1)
			return nil
		}}
		sub = subscribeBoth(t, client, &s)
		close(subscribed)
		require.NoError(t, sub.Wait(t.Context()))
		assert.Equal(t, int32(1), returned.Load())
		c.Set(clienttest.KeyA, "2")
		clienttest.Settle()
		sub.Stop()
		assert.Equal(t, int32(2), returned.Load())
	})
}

// Close waits for a listener that has stopped itself and is still running.
func TestSubscribeTogether_CloseWaitsForAListenerThatStoppedItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "1"})
		client := clienttest.NewClient(t, c)
		var sub *diamond.Subscription
		subscribed, returned := make(chan struct{}), false
		s := states{verdict: func(string) error {
			<-subscribed
			sub.Stop()
			time.Sleep(time.Second)
			returned = true
			return nil
		}}
		sub = subscribeBoth(t, client, &s)
		close(subscribed)
		clienttest.Settle()
		require.NoError(t, client.Close())
		assert.True(t, returned)
	})
}

// The listener is not called before a server has answered about all keys, because snapshots
// may be of different positions. A key that servers refuse does not count as absent.
func TestSubscribeTogether_NeedsServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.SetAll(map[conf.Key]string{clienttest.KeyA: "1", clienttest.KeyB: "1"})
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		local.Snapshots[conf.SlotFetched][clienttest.KeyB] = clienttest.SnapshotOf(c, clienttest.KeyB)
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var s states
		sub := subscribeBoth(t, client, &s)
		start := time.Now()
		require.ErrorIs(t, sub.Wait(t.Context()), conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := sub.Wait(ctx)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 4*time.Second, time.Since(start))
		time.Sleep(time.Minute)
		assert.Equal(t, "1", clienttest.Get(t, client, clienttest.KeyA).Content, "by itself it falls back")
		assert.Empty(t, s.all())

		c.Hang()
		hanging := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		start = time.Now()
		require.ErrorIs(t, subscribeBoth(t, hanging, &states{}).Wait(t.Context()), conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start))
		c.Fail(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1 1"}, s.all())

		c.Deny(clienttest.KeyN(1), true)
		refused, err := client.SubscribeTogether([]conf.Key{clienttest.KeyA, clienttest.KeyN(1)}, s.onConfigs)
		require.NoError(t, err)
		t.Cleanup(refused.Stop)
		start = time.Now()
		require.ErrorIs(t, refused.Wait(t.Context()), conf.ErrDenied)
		assert.Less(t, time.Since(start), time.Second, "waiting on does not help")
		assert.Len(t, s.all(), 1)
		c.Deny(clienttest.KeyB, true)
		c.Set(clienttest.KeyA, "2")
		clienttest.Settle()
		assert.Equal(t, "2 1", s.all()[len(s.all())-1], "the last value that the client may show")
	})
}

func TestSubscribeTogether_Invalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clienttest.NewClient(t, clienttest.NewCentre())
		var s states
		for name, keys := range map[string][]conf.Key{"none": nil, "grammar": {clienttest.KeyA, {DataID: "not/valid"}}} {
			_, err := client.SubscribeTogether(keys, s.onConfigs)
			require.ErrorIs(t, err, conf.ErrInvalid, name)
		}
		_, err := client.SubscribeTogether([]conf.Key{clienttest.KeyA}, nil)
		require.ErrorIs(t, err, conf.ErrInvalid)
		assert.Empty(t, client.Status(), "nothing is followed for their sake")
	})
}

func TestDecode(t *testing.T) {
	value := conf.Config{Entry: conf.Entry{Key: clienttest.KeyA, Content: `{"rate": 3}`, Type: "json"}, Source: conf.SourceServer}
	got, err := diamond.Decode[clienttest.Limits](value, diamond.WithDefaultContent("json", `{"rate": 1, "burst": 7}`))
	require.NoError(t, err)
	assert.Equal(t, clienttest.Limits{Rate: 3, Burst: 7}, *got)

	got, err = diamond.Decode[clienttest.Limits](conf.Config{}, diamond.WithDefaultContent("json", `{"rate": 1}`))
	require.NoError(t, err)
	assert.Equal(t, 1, got.Rate)
	_, err = diamond.Decode[clienttest.Limits](conf.Config{}, diamond.WithDefaultContent("json", `{"rate": -1}`))
	require.ErrorIs(t, err, clienttest.ErrRate)
	deleted := value
	deleted.Deleted = true
	_, err = diamond.Decode[clienttest.Limits](deleted)
	require.ErrorIs(t, err, conf.ErrNotFound)
	value.Content = `{"rate": "x"}`
	_, err = diamond.Decode[clienttest.Limits](value)
	require.ErrorIs(t, err, conf.ErrInvalid)
}
