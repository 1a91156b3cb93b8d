package follower_test

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
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestC14_ARefusedKeyKeepsItsValueAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		changes := 0
		v.OnChange(func(_, _ *clienttest.Limits) { changes++ })
		time.Sleep(10 * time.Minute)

		c.Deny(clienttest.KeyA, true)
		clienttest.Settle()
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed), 30*time.Second, "what was confirmed stays so")
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		c.Set(clienttest.KeyB, "b2")
		clienttest.Settle()
		config := clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, `{"rate": 1}`, config.Content, "its last value stays")
		assert.False(t, config.Deleted)
		require.ErrorIs(t, config.Refused, conf.ErrDenied)
		require.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrDenied)
		require.ErrorContains(t, client.Status(clienttest.KeyA)[0].Err, "not for you")
		require.ErrorIs(t, v.Err(), conf.ErrDenied)
		assert.Equal(t, 1, v.Get().Rate)
		assert.Equal(t, []string{`{"rate": 1}`, `{"rate": 1}`}, a.Contents(), "the listener is told of the refusal")
		require.ErrorIs(t, a.Last().Refused, conf.ErrDenied)
		assert.Equal(t, []string{"b", "b2"}, b.Contents(), "the others go on")
		require.NoError(t, client.Status(clienttest.KeyB)[0].Err)

		// It is asked for again every 30 to 60 s, and not confirmed meanwhile.
		asked := c.AsksFor(clienttest.KeyA)
		confirmed := clienttest.Get(t, client, clienttest.KeyA).Confirmed
		polls := c.PollCount()
		time.Sleep(10 * time.Minute)
		asks := asked()
		require.GreaterOrEqual(t, len(asks), 10)
		for i := range asks[1:] {
			assert.GreaterOrEqual(t, asks[i+1].Sub(asks[i]), 30*time.Second)
			assert.LessOrEqual(t, asks[i+1].Sub(asks[i]), time.Minute)
		}
		assert.LessOrEqual(t, c.PollCount()-polls, 24+1+20, "one parked poll, and one a time for what is refused")
		assert.Equal(t, confirmed, clienttest.Get(t, client, clienttest.KeyA).Confirmed)
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyB).Confirmed), 30*time.Second)
		assert.Len(t, a.Contents(), 2, "told once")

		c.Deny(clienttest.KeyA, false)
		time.Sleep(time.Minute)
		clienttest.Settle()
		assert.Equal(t, `{"rate": 2}`, a.Last().Content)
		require.NoError(t, a.Last().Refused)
		require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
		require.NoError(t, v.Err())
		assert.Equal(t, 2, v.Get().Rate)
		assert.Equal(t, 2, changes)
		c.Set(clienttest.KeyA, `{"rate": 3}`)
		clienttest.Settle()
		assert.Equal(t, 3, v.Get().Rate, "it is followed like any other")
	})
}

// Listeners are called at the end of a refusal even if the value has not changed. A bound
// value does not change.
func TestC14_TheEndOfARefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
		before := v.Get()
		c.Deny(clienttest.KeyA, true)
		clienttest.Settle()
		require.ErrorIs(t, v.Err(), conf.ErrDenied)
		c.Deny(clienttest.KeyA, false)
		time.Sleep(time.Minute + time.Second)
		require.Len(t, r.Contents(), 3)
		require.NoError(t, r.Last().Refused)
		require.NoError(t, v.Err())
		assert.Same(t, before, v.Get())
	})
}

// Servers that do not know denials refuse a whole poll because of one key.
func TestC14_AServerThatRefusesTheWholePollForOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		var a, b, n clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		c.Set(clienttest.KeyN(1), "n")
		clienttest.Subscribe(t, client, clienttest.KeyN(1), &n)
		clienttest.Settle()
		refused := map[conf.Key]bool{clienttest.KeyA: true, clienttest.KeyN(1): true}
		c.With(func() {
			c.OnPoll = func(_ context.Context, req *conf.PollRequest) (resp *conf.PollResponse, err error) {
				c.With(func() {
					for _, key := range append(slices.Clone(req.Keys), c.Sets[req.Set]...) {
						if refused[key] {
							err = &conf.Error{Op: "poll", Key: key, Err: conf.ErrDenied, Remote: true}
						}
					}
				})
				return nil, err
			}
			c.Announce()
		})
		c.Set(clienttest.KeyA, "a2")
		c.Set(clienttest.KeyB, "b2")
		clienttest.Settle()
		assert.Equal(t, "b2", b.Last().Content, "the others go on at once")
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		require.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrDenied)
		require.NoError(t, client.Status(clienttest.KeyB)[0].Err)

		c.With(func() { delete(refused, clienttest.KeyA) })
		time.Sleep(time.Minute)
		clienttest.Settle()
		assert.Equal(t, "a2", a.Last().Content, "though the other one is still refused")
		require.ErrorIs(t, client.Status(clienttest.KeyN(1))[0].Err, conf.ErrDenied)
		c.With(func() { clear(refused) })
		time.Sleep(time.Minute)
		clienttest.Settle()
		require.NoError(t, client.Status(clienttest.KeyN(1))[0].Err)
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
			_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: clienttest.KeyA, Content: content}}}})
			require.NoError(t, err)
		}
		publish("one")
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		way.Fail(clienttest.ErrDown)
		time.Sleep(time.Second)
		system := conf.Key{Namespace: "_system", Group: "g", DataID: "d"}
		clienttest.Subscribe(t, client, system, &clienttest.Recorder{})
		time.Sleep(10 * time.Second)
		way.Heal()
		time.Sleep(10 * time.Second)
		publish("two")
		clienttest.Settle()
		assert.Equal(t, []string{"one", "two"}, r.Contents())
		require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
		require.Error(t, client.Status(system)[0].Err)
	})
}

func TestARefusalIsTriedAgainWhileThereAreListeners(t *testing.T) {
	for _, sentinel := range []error{conf.ErrDenied, conf.ErrInvalid, conf.ErrTooLarge} {
		t.Run(sentinel.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, `{"rate": 1}`)
				c.Fail(&conf.Error{Err: sentinel, Remote: true}) // such as a host name that it was not told of
				client := clienttest.NewClient(t, c)
				var r clienttest.Recorder
				require.ErrorIs(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()), sentinel)
				v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefaultContent("json", `{"rate": 9}`))
				require.NoError(t, err)
				require.ErrorIs(t, v.Err(), sentinel)
				_, err = client.Get(t.Context(), clienttest.KeyA)
				require.ErrorIs(t, err, sentinel)
				polls := c.PollCount()
				time.Sleep(time.Hour)
				assert.LessOrEqual(t, c.PollCount()-polls, 120, "at its pace")
				assert.LessOrEqual(t, c.FetchCount(clienttest.KeyA), 3)

				c.Fail(nil) // put right at the server
				time.Sleep(time.Minute)
				clienttest.Settle()
				assert.Equal(t, []string{`{"rate": 1}`}, r.Contents())
				assert.Equal(t, 1, v.Get().Rate)
				require.NoError(t, v.Err())
				require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
			})
		})
	}
}

// A refusal does not change the known state: a snapshot is used, and a key that was absent
// is no longer reported as absent.
func TestARefusalIsNoDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "kept")
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		c.Deny(clienttest.KeyA, true)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		assert.Equal(t, []string{"kept"}, r.Contents())
		require.ErrorIs(t, r.Last().Refused, conf.ErrDenied)
		assert.Equal(t, conf.SourceSnapshot, clienttest.Get(t, client, clienttest.KeyA).Source)

		_, err := client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		c.Deny(clienttest.KeyB, true)
		clienttest.Settle()
		_, err = client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrDenied)
		c.Deny(clienttest.KeyB, false)
		time.Sleep(time.Minute + time.Second)
		_, err = client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrNotFound)
		_, ok := local.Snapshot(conf.SlotFetched, clienttest.KeyB)
		assert.False(t, ok)
	})
}

// An answer that denies a key and says that it is not there proves nothing.
func TestARefusalBeatsAnAbsenceInOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "kept")
		client := clienttest.NewClient(t, c)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		c.With(func() {
			c.OnPoll = func(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
				return &conf.PollResponse{
					Position: c.Position(),
					Denied:   []conf.Denial{{Key: clienttest.KeyA}}, Changed: []conf.KeyState{{Key: clienttest.KeyA}},
				}, nil
			}
			c.Announce()
		})
		c.Set(clienttest.KeyB, "moves the position")
		clienttest.Settle()
		assert.Equal(t, []string{"kept", "kept"}, r.Contents())
		require.ErrorIs(t, r.Last().Refused, conf.ErrDenied)
	})
}

// A key that servers refuse only to fetches counts as refused too.
func TestARefusedContentIsNotAskedForAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		client := clienttest.NewClient(t, c)
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		clienttest.Settle()
		c.With(func() { c.Inline = 0 })
		c.FailFetches(&conf.Error{Err: conf.ErrDenied, Remote: true}, clienttest.KeyA)
		c.Set(clienttest.KeyA, "a2")
		clienttest.Settle()
		fetches := c.FetchCount(clienttest.KeyA)
		c.Set(clienttest.KeyB, "b2")
		clienttest.Settle()
		assert.Equal(t, "b2", b.Last().Content)
		require.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrDenied)
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, c.FetchCount(clienttest.KeyA)-fetches, 2*20)
		c.FailFetches(nil)
		time.Sleep(time.Minute)
		clienttest.Settle()
		assert.Equal(t, "a2", a.Last().Content)
	})
}

// A key that is refused after an outage, before anything is known about it, is no longer
// followed. Polls that still named it in Held would all be refused.
func TestAKeyThatIsRefusedAfterAnOutageDoesNotStopTheUpdatesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c)
		_, err := client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		c.Deny(clienttest.KeyB, true)
		c.FailFetches(nil) // polls have not been tried again yet
		_, err = client.Get(t.Context(), clienttest.KeyB)
		require.ErrorIs(t, err, conf.ErrDenied)
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		c.Fail(nil)
		time.Sleep(10 * time.Second)
		c.Set(clienttest.KeyA, "two")
		clienttest.Settle()
		assert.Equal(t, []string{"one", "two"}, r.Contents())
		status := client.Status()
		require.Len(t, status, 1)
		require.NoError(t, status[0].Err)
	})
}
