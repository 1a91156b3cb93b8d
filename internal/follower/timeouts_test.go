package follower_test

import (
	"context"
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

// silent is a server that never answers.
type silent struct{ *clienttest.Centre }

func newSilent() silent {
	c := clienttest.NewCentre()
	c.Set(clienttest.KeyA, `{"n": 42}`)
	c.Hang()
	return silent{c}
}

func (silent) List(ctx context.Context, _ *conf.ListRequest) (*conf.ListResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (silent) History(ctx context.Context, _ *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return nil, clienttest.Ended(ctx)
}

// call is one call of a client.
type call func(ctx context.Context, client diamond.Client) error

// firstCalls wait for First, and those that have to do with one key may get a snapshot.
func firstCalls() (one, several map[string]call) {
	key := clienttest.KeyA
	return map[string]call{
			"Get":  func(ctx context.Context, client diamond.Client) error { _, err := client.Get(ctx, key); return err },
			"Peek": func(ctx context.Context, client diamond.Client) error { _, err := client.Peek(ctx, key); return err },
			"Wait": func(ctx context.Context, client diamond.Client) error {
				sub, err := client.Subscribe(key, diamond.ListenerFunc(func(context.Context, conf.Config) error {
					time.Sleep(time.Millisecond) // fake time: the tests run in a bubble
					return nil
				}))
				if err != nil {
					return err
				}
				defer sub.Stop()
				return sub.Wait(ctx)
			},
			"Bind": func(ctx context.Context, client diamond.Client) error {
				v, err := diamond.Bind[number](ctx, client, key)
				if err == nil {
					v.Close()
				}
				return err
			},
		}, map[string]call{
			"Together": func(ctx context.Context, client diamond.Client) error {
				_, _, err := client.Together(ctx, key, clienttest.KeyB)
				return err
			},
			"Wait for several": func(ctx context.Context, client diamond.Client) error {
				sub, err := client.SubscribeTogether([]conf.Key{key, clienttest.KeyB},
					func(context.Context, map[conf.Key]conf.Config, conf.Position) error { return nil })
				if err != nil {
					return err
				}
				defer sub.Stop()
				return sub.Wait(ctx)
			},
		}
}

// singleCalls wait for Call.
func singleCalls() map[string]call {
	key := clienttest.KeyA
	return map[string]call{
		"Read": func(ctx context.Context, client diamond.Client) error { _, err := client.Read(ctx, key, 1); return err },
		"Head": func(ctx context.Context, client diamond.Client) error { _, err := client.Head(ctx); return err },
		"List": func(ctx context.Context, client diamond.Client) (err error) {
			for _, err = range client.List(ctx, conf.ListRequest{}) {
			}
			return err
		},
		"History": func(ctx context.Context, client diamond.Client) (err error) {
			for _, err = range client.History(ctx, conf.HistoryRequest{Key: key}) {
			}
			return err
		},
		"Publish": func(ctx context.Context, client diamond.Client) error {
			_, err := client.Publish(ctx, conf.Draft{Key: key, Content: "{}"})
			return err
		},
		"Delete": func(ctx context.Context, client diamond.Client) error {
			_, err := client.Delete(ctx, conf.Delete{Key: key})
			return err
		},
		"Commit": func(ctx context.Context, client diamond.Client) error {
			_, err := client.Commit(ctx, conf.ChangeSet{Deletes: []conf.Delete{{Key: key}}})
			return err
		},
	}
}

// Each call waits to the millisecond for its field of Timeouts or for the default, and
// with a deadline for that.
func TestTimeouts_CallsWaitForTheirField(t *testing.T) {
	one, several := firstCalls()
	for name, set := range map[string]struct {
		of          diamond.Timeouts
		first, call time.Duration
		within      time.Duration
	}{
		"default":  {first: 3 * time.Second, call: 10 * time.Second},
		"short":    {of: diamond.Timeouts{First: 70 * time.Millisecond, Call: 30 * time.Millisecond}, first: 70 * time.Millisecond, call: 30 * time.Millisecond},
		"long":     {of: diamond.Timeouts{First: 47 * time.Second, Call: 101 * time.Second}, first: 47 * time.Second, call: 101 * time.Second},
		"deadline": {of: diamond.Timeouts{First: 47 * time.Second, Call: time.Second}, first: 5 * time.Second, call: 5 * time.Second, within: 5 * time.Second},
	} {
		for kind, calls := range map[string]struct {
			calls map[string]call
			wait  time.Duration
		}{"one": {one, set.first}, "several": {several, set.first}, "single": {singleCalls(), set.call}} {
			for what, ask := range calls.calls {
				t.Run(name+"/"+kind+"/"+what, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						client := clienttest.NewClient(t, newSilent(), diamond.WithTimeouts(set.of))
						ctx := t.Context()
						if set.within > 0 {
							bounded, cancel := context.WithTimeout(ctx, set.within)
							defer cancel()
							ctx = bounded
						}
						start := time.Now()
						err := ask(ctx, client)
						require.Error(t, err)
						assert.Equal(t, calls.wait, time.Since(start))
					})
				})
			}
		}
	}
}

// A snapshot, or else a default, is used after Snapshot, and never so late that there
// is no time left to apply it.
func TestTimeouts_ASnapshotIsUsedAfterItsTime(t *testing.T) {
	one, _ := firstCalls()
	for name, set := range map[string]struct {
		of   diamond.Timeouts
		used time.Duration
	}{
		"default":            {used: time.Second},
		"set":                {of: diamond.Timeouts{First: 20 * time.Second, Snapshot: 7 * time.Second}, used: 7 * time.Second},
		"short":              {of: diamond.Timeouts{Snapshot: 20 * time.Millisecond}, used: 20 * time.Millisecond},
		"as long as First":   {of: diamond.Timeouts{First: 5 * time.Second, Snapshot: 5 * time.Second}, used: 4 * time.Second},
		"First is below 1 s": {of: diamond.Timeouts{First: 500 * time.Millisecond}, used: 400 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newSilent()
				local := withSnapshots(c.Centre, clienttest.KeyA)
				for what, ask := range one {
					client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithTimeouts(set.of))
					start := time.Now()
					require.NoError(t, ask(t.Context(), client), what)
					assert.Equal(t, set.used, time.Since(start).Truncate(5*time.Millisecond), what)
				}
				client := clienttest.NewClient(t, c, diamond.WithTimeouts(set.of))
				start := time.Now()
				v, err := diamond.Bind[number](t.Context(), client, clienttest.KeyB, diamond.WithDefaultContent("json", `{"n": 1}`))
				require.NoError(t, err)
				assert.Equal(t, set.used, time.Since(start), "the default of a Bind")
				v.Close()
			})
		})
	}
}

// Keys that wait for their turn give up together with those that servers do not answer.
func TestTimeouts_ManyKeysUseTheirSnapshotsAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSilent()
		local := clienttest.NewFiles()
		keys := manyKeys(c.Centre, local, 64)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithTimeouts(diamond.Timeouts{First: 20 * time.Second, Snapshot: 7 * time.Second}))
		start := time.Now()
		var used atomic.Int32
		for _, key := range keys {
			clienttest.Subscribe(t, client, key, diamond.ListenerFunc(func(context.Context, conf.Config) error {
				assert.Equal(t, 7*time.Second, time.Since(start))
				used.Add(1)
				return nil
			}))
		}
		time.Sleep(8 * time.Second)
		assert.EqualValues(t, len(keys), used.Load())
	})
}

func TestTimeouts_CloseWaitsForListeners(t *testing.T) {
	for name, set := range map[string]struct{ of, wait time.Duration }{
		"default": {0, 10 * time.Second}, "short": {300 * time.Millisecond, 300 * time.Millisecond}, "long": {time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "a")
				client, err := diamond.NewClient(c, diamond.WithTimeouts(diamond.Timeouts{Close: set.of}))
				require.NoError(t, err)
				release := make(chan struct{})
				defer close(release)
				_, err = client.Subscribe(clienttest.KeyA, diamond.ListenerFunc(func(context.Context, conf.Config) error {
					<-release
					return nil
				}))
				require.NoError(t, err)
				clienttest.Settle()
				start := time.Now()
				err = client.Close()
				require.ErrorIs(t, err, conf.ErrUnavailable)
				require.ErrorContains(t, err, clienttest.KeyA.String())
				assert.Equal(t, set.wait, time.Since(start))
			})
		})
	}
}

func TestTimeouts_ThatMakeNoSenseAreInvalid(t *testing.T) {
	for name, of := range map[string]diamond.Timeouts{
		"First":                        {First: -1},
		"Snapshot":                     {Snapshot: -1},
		"Call":                         {Call: -1},
		"Close":                        {Close: -1},
		"Snapshot above First":         {First: time.Second, Snapshot: 1001 * time.Millisecond},
		"Snapshot above default First": {Snapshot: 3001 * time.Millisecond},
	} {
		_, err := diamond.NewClient(clienttest.NewCentre(), diamond.WithTimeouts(of))
		require.ErrorIs(t, err, conf.ErrInvalid, name)
		require.ErrorContains(t, err, "timeouts", name)
	}
}

// A deadline that is so far away that four times the time left is no duration is one.
func TestTimeouts_DeadlineFarAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "new")
		local := clienttest.NewFiles()
		clienttest.Get(t, clienttest.NewClient(t, c, diamond.WithLocalFiles(local)), clienttest.KeyA)
		time.Sleep(time.Second)
		c.Slow(500 * time.Millisecond)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		ctx, cancel := context.WithTimeout(t.Context(), 100*365*24*time.Hour)
		defer cancel()
		first := make(chan conf.Source)
		go func() {
			config, _ := client.Get(ctx, clienttest.KeyA)
			first <- config.Source
		}()
		time.Sleep(100 * time.Millisecond) // the snapshot has been read
		config, err := client.Get(ctx, clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, conf.SourceServer, config.Source)
		assert.Equal(t, conf.SourceServer, <-first)
	})
}
