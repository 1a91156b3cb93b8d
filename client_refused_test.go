package diamond_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// asksFor notes from now on when polls name key.
func (c *centre) asksFor(key conf.Key) (asked func() []time.Time) {
	var asks []time.Time
	c.with(func() {
		c.onPoll = func(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
			if slices.Contains(req.Keys, key) {
				c.with(func() { asks = append(asks, time.Now()) })
			}
			return nil, nil
		}
	})
	return func() (out []time.Time) {
		c.with(func() { out = slices.Clone(asks) })
		return out
	}
}

func TestC14_ARefusedKeyKeepsItsValueAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		c.set(keyB, "b")
		client := newClient(t, c)
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		changes := 0
		v.OnChange(func(_, _ *limits) { changes++ })
		time.Sleep(10 * time.Minute)

		c.deny(keyA, true)
		settle()
		assert.Less(t, time.Since(get(t, client, keyA).Confirmed), 30*time.Second, "what was confirmed stays so")
		c.set(keyA, `{"rate": 2}`)
		c.set(keyB, "b2")
		settle()
		config := get(t, client, keyA)
		assert.Equal(t, `{"rate": 1}`, config.Content, "its last value stays")
		assert.False(t, config.Deleted)
		require.ErrorIs(t, config.Refused, conf.ErrDenied)
		require.ErrorIs(t, client.Status(keyA)[0].Err, conf.ErrDenied)
		require.ErrorContains(t, client.Status(keyA)[0].Err, "not for you")
		require.ErrorIs(t, v.Err(), conf.ErrDenied)
		assert.Equal(t, 1, v.Get().Rate)
		assert.Equal(t, []string{`{"rate": 1}`, `{"rate": 1}`}, a.contents(), "the listener is told of the refusal")
		require.ErrorIs(t, a.last().Refused, conf.ErrDenied)
		assert.Equal(t, []string{"b", "b2"}, b.contents(), "the others go on")
		require.NoError(t, client.Status(keyB)[0].Err)

		// It is asked for again every 30 to 60 s, and not confirmed meanwhile.
		asked := c.asksFor(keyA)
		confirmed := get(t, client, keyA).Confirmed
		polls := c.pollCount()
		time.Sleep(10 * time.Minute)
		asks := asked()
		require.GreaterOrEqual(t, len(asks), 10)
		for i := range asks[1:] {
			assert.GreaterOrEqual(t, asks[i+1].Sub(asks[i]), 30*time.Second)
			assert.LessOrEqual(t, asks[i+1].Sub(asks[i]), time.Minute)
		}
		assert.LessOrEqual(t, c.pollCount()-polls, 24+1+20, "one parked poll, and one a time for what is refused")
		assert.Equal(t, confirmed, get(t, client, keyA).Confirmed)
		assert.Less(t, time.Since(get(t, client, keyB).Confirmed), 30*time.Second)
		assert.Len(t, a.contents(), 2, "told once")

		c.deny(keyA, false)
		time.Sleep(time.Minute)
		settle()
		assert.Equal(t, `{"rate": 2}`, a.last().Content)
		require.NoError(t, a.last().Refused)
		require.NoError(t, client.Status(keyA)[0].Err)
		require.NoError(t, v.Err())
		assert.Equal(t, 2, v.Get().Rate)
		assert.Equal(t, 2, changes)
		c.set(keyA, `{"rate": 3}`)
		settle()
		assert.Equal(t, 3, v.Get().Rate, "it is followed like any other")
	})
}

// The end of a refusal is told too where the value is what it was, and changes
// nothing for a bound value.
func TestC14_TheEndOfARefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		settle()
		before := v.Get()
		c.deny(keyA, true)
		settle()
		require.ErrorIs(t, v.Err(), conf.ErrDenied)
		c.deny(keyA, false)
		time.Sleep(time.Minute + time.Second)
		require.Len(t, r.contents(), 3)
		require.NoError(t, r.last().Refused)
		require.NoError(t, v.Err())
		assert.Same(t, before, v.Get())
	})
}

// Servers that do not know of denials refuse a whole poll for one key.
func TestC14_AServerThatRefusesTheWholePollForOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		client := newClient(t, c)
		var a, b, n recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		c.set(keyN(1), "n")
		subscribe(t, client, keyN(1), &n)
		settle()
		refused := map[conf.Key]bool{keyA: true, keyN(1): true}
		c.with(func() {
			c.onPoll = func(_ context.Context, req *conf.PollRequest) (resp *conf.PollResponse, err error) {
				c.with(func() {
					for _, key := range append(slices.Clone(req.Keys), c.sets[req.Set]...) {
						if refused[key] {
							err = &conf.Error{Op: "poll", Key: key, Err: conf.ErrDenied, Remote: true}
						}
					}
				})
				return nil, err
			}
			c.announce()
		})
		c.set(keyA, "a2")
		c.set(keyB, "b2")
		settle()
		assert.Equal(t, "b2", b.last().Content, "the others go on at once")
		assert.Equal(t, "a", get(t, client, keyA).Content)
		require.ErrorIs(t, client.Status(keyA)[0].Err, conf.ErrDenied)
		require.NoError(t, client.Status(keyB)[0].Err)

		c.with(func() { delete(refused, keyA) })
		time.Sleep(time.Minute)
		settle()
		assert.Equal(t, "a2", a.last().Content, "though the other one is still refused")
		require.ErrorIs(t, client.Status(keyN(1))[0].Err, conf.ErrDenied)
		c.with(func() { clear(refused) })
		time.Sleep(time.Minute)
		settle()
		require.NoError(t, client.Status(keyN(1))[0].Err)
	})
}

// A key of a system namespace that was subscribed to during an outage.
func TestASystemKeyDoesNotStopTheUpdatesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		defer func() { require.NoError(t, srv.Close()) }()
		way := transporttest.NewFaulty(srv)
		client, err := diamond.NewClient(way)
		require.NoError(t, err)
		defer func() { require.NoError(t, client.Close()) }()
		publish := func(content string) {
			_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: keyA, Content: content}}}})
			require.NoError(t, err)
		}
		publish("one")
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		way.Fail(errDown)
		time.Sleep(time.Second)
		system := conf.Key{Namespace: "_system", Group: "g", DataID: "d"}
		subscribe(t, client, system, &recorder{})
		time.Sleep(10 * time.Second)
		way.Heal()
		time.Sleep(10 * time.Second)
		publish("two")
		settle()
		assert.Equal(t, []string{"one", "two"}, r.contents())
		require.NoError(t, client.Status(keyA)[0].Err)
		require.Error(t, client.Status(system)[0].Err)
	})
}

func TestARefusalIsTriedAgainWhileThereAreListeners(t *testing.T) {
	for _, sentinel := range []error{conf.ErrDenied, conf.ErrInvalid, conf.ErrTooLarge} {
		t.Run(sentinel.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, `{"rate": 1}`)
				c.fail(&conf.Error{Err: sentinel, Remote: true}) // such as a host name that it was not told of
				client := newClient(t, c)
				var r recorder
				require.ErrorIs(t, subscribe(t, client, keyA, &r).Wait(t.Context()), sentinel)
				v, err := diamond.Bind[limits](t.Context(), client, keyA, diamond.WithDefault("json", `{"rate": 9}`))
				require.NoError(t, err)
				require.ErrorIs(t, v.Err(), sentinel)
				_, err = client.Get(t.Context(), keyA)
				require.ErrorIs(t, err, sentinel)
				polls := c.pollCount()
				time.Sleep(time.Hour)
				assert.LessOrEqual(t, c.pollCount()-polls, 120, "at its pace")
				assert.LessOrEqual(t, c.fetchCount(keyA), 3)

				c.fail(nil) // put right at the server
				time.Sleep(time.Minute)
				settle()
				assert.Equal(t, []string{`{"rate": 1}`}, r.contents())
				assert.Equal(t, 1, v.Get().Rate)
				require.NoError(t, v.Err())
				require.NoError(t, client.Status(keyA)[0].Err)
			})
		})
	}
}

// A refusal leaves what is known: a snapshot is used, and a key that was absent
// is not said to be any more.
func TestARefusalIsNoDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "kept")
		local := newFiles()
		local.snapshots[conf.SlotFetched][keyA] = snapshotOf(c, keyA)
		c.deny(keyA, true)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		require.NoError(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		assert.Equal(t, []string{"kept"}, r.contents())
		require.ErrorIs(t, r.last().Refused, conf.ErrDenied)
		assert.Equal(t, conf.SourceSnapshot, get(t, client, keyA).Source)

		_, err := client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		c.deny(keyB, true)
		settle()
		_, err = client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrDenied)
		c.deny(keyB, false)
		time.Sleep(time.Minute + time.Second)
		_, err = client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		_, ok := local.snapshot(conf.SlotFetched, keyB)
		assert.False(t, ok)
	})
}

// An answer that denies a key and says that it is not there proves nothing.
func TestARefusalBeatsAnAbsenceInOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "kept")
		client := newClient(t, c)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		c.with(func() {
			c.onPoll = func(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{
					Position: c.position(),
					Denied:   []conf.Denial{{Key: keyA}}, Changed: []conf.KeyState{{Key: keyA}},
				}, nil
			}
			c.announce()
		})
		c.set(keyB, "moves the position")
		settle()
		assert.Equal(t, []string{"kept", "kept"}, r.contents())
		require.ErrorIs(t, r.last().Refused, conf.ErrDenied)
	})
}

// What only fetches are refused is refused too.
func TestARefusedContentIsNotAskedForAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		client := newClient(t, c)
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		settle()
		c.with(func() { c.inline = 0 })
		c.failFetches(&conf.Error{Err: conf.ErrDenied, Remote: true}, keyA)
		c.set(keyA, "a2")
		settle()
		fetches := c.fetchCount(keyA)
		c.set(keyB, "b2")
		settle()
		assert.Equal(t, "b2", b.last().Content)
		require.ErrorIs(t, client.Status(keyA)[0].Err, conf.ErrDenied)
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, c.fetchCount(keyA)-fetches, 2*20)
		c.failFetches(nil)
		time.Sleep(time.Minute)
		settle()
		assert.Equal(t, "a2", a.last().Content)
	})
}

// A key that is refused when an outage is over, before anything is known of it, is
// followed no more. Polls that still named what they hold of it would all be refused.
func TestAKeyThatIsRefusedAfterAnOutageDoesNotStopTheUpdatesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		c.fail(errDown)
		client := newClient(t, c)
		_, err := client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		c.deny(keyB, true)
		c.failFetches(nil) // polls have not been tried again yet
		_, err = client.Get(t.Context(), keyB)
		require.ErrorIs(t, err, conf.ErrDenied)
		var r recorder
		subscribe(t, client, keyA, &r)
		settle()
		c.fail(nil)
		time.Sleep(10 * time.Second)
		c.set(keyA, "two")
		settle()
		assert.Equal(t, []string{"one", "two"}, r.contents())
		status := client.Status()
		require.Len(t, status, 1)
		require.NoError(t, status[0].Err)
	})
}
