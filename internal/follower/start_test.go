package follower_test

import (
	"context"
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

type number struct {
	N int `json:"n"`
}

// withSnapshots returns local files that hold what c has of keys.
func withSnapshots(c *clienttest.Centre, keys ...conf.Key) *clienttest.Files {
	local := clienttest.NewFiles()
	for _, key := range keys {
		local.Snapshots[conf.SlotFetched][key] = clienttest.SnapshotOf(c, key)
	}
	return local
}

func TestBind_ASnapshotBeatsADefaultAlways(t *testing.T) {
	for name, dead := range map[string]func(*clienttest.Centre){
		"refused": func(c *clienttest.Centre) { c.Fail(clienttest.ErrDown) },
		"hanging": func(c *clienttest.Centre) { c.Hang() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					c := clienttest.NewCentre()
					c.Set(clienttest.KeyA, `{"n": 42}`)
					local := withSnapshots(c, clienttest.KeyA)
					dead(c)
					for name, within := range map[string]time.Duration{"own": 0, "short": 100 * time.Millisecond, "a second": time.Second} {
						client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
						ctx, start := t.Context(), time.Now()
						if within > 0 {
							bounded, cancel := context.WithTimeout(ctx, within)
							defer cancel()
							ctx = bounded
						}
						v, err := diamond.Bind[number](ctx, client, clienttest.KeyA, diamond.WithDefaultContent("json", `{"n": 1}`))
						require.NoError(t, err)
						assert.Equal(t, 42, v.Get().N, name)
						assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
						require.ErrorIs(t, v.Err(), conf.ErrUnavailable, "no server has confirmed it")
						require.ErrorContains(t, v.Err(), "snapshot")
						assert.LessOrEqual(t, time.Since(start), time.Second)
						v.Close()

						v, err = diamond.Bind[number](t.Context(), client, clienttest.KeyB, diamond.WithDefaultContent("json", `{"n": 1}`))
						require.NoError(t, err)
						assert.Equal(t, 1, v.Get().N)
						require.ErrorIs(t, v.Err(), conf.ErrUnavailable)
						v.Close()
					}
				})
			}
		})
	}
}

// A snapshot wins against a default even if the disk takes longer than servers have.
func TestBind_ASlowSnapshotBeatsADefaultToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"n": 42}`)
		local := withSnapshots(c, clienttest.KeyA)
		local.LoadDelay = 1500 * time.Millisecond
		c.Hang()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[number](t.Context(), client, clienttest.KeyA, diamond.WithDefaultContent("json", `{"n": 1}`))
		require.NoError(t, err)
		assert.Equal(t, 42, v.Get().N)
		v.Close()
	})
}

// A Bind that comes while a first fetch is late does not wait for its end.
func TestBind_ADefaultWaitsNoLongerThanServersHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Hang()
		client := clienttest.NewClient(t, c)
		for _, after := range []time.Duration{0, 500 * time.Millisecond, 2 * time.Second, 30 * time.Second} {
			time.Sleep(after)
			start := time.Now()
			v, err := diamond.Bind[number](t.Context(), client, clienttest.KeyA, diamond.WithDefaultContent("json", `{"n": 1}`))
			require.NoError(t, err)
			assert.LessOrEqual(t, time.Since(start), time.Second)
			require.ErrorIs(t, v.Err(), conf.ErrUnavailable)
			v.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := diamond.Bind[number](ctx, client, clienttest.KeyB, diamond.WithDefaultContent("json", `{"n": 1}`))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestStart_ACallersOwnDeadlineComesAfterItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"n": 42}`)
		local := withSnapshots(c, clienttest.KeyA)
		c.Hang()
		for _, within := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second} {
			for name, read := range map[string]func(context.Context, diamond.Client) error{
				"Get": func(ctx context.Context, client diamond.Client) error {
					_, err := client.Get(ctx, clienttest.KeyA)
					return err
				},
				"Wait": func(ctx context.Context, client diamond.Client) error {
					return clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{}).Wait(ctx)
				},
				"Bind": func(ctx context.Context, client diamond.Client) error {
					v, err := diamond.Bind[number](ctx, client, clienttest.KeyA)
					if err == nil {
						v.Close()
					}
					return err
				},
			} {
				client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				ctx, cancel := context.WithTimeout(t.Context(), within)
				require.NoError(t, read(ctx, client), "%s within %v", name, within)
				cancel()
			}
		}
	})
}

// Each key has its full time with a server that answers, even if many keys wait for their
// turn.
func TestStart_TheGraceCountsFromWhenTheServerIsAsked(t *testing.T) {
	for name, begin := range map[string]func(context.Context, diamond.Client, conf.Key, diamond.Listener) error{
		"Subscribe": func(_ context.Context, client diamond.Client, key conf.Key, l diamond.Listener) error {
			_, err := client.Subscribe(key, l)
			return err
		},
		"Bind": func(ctx context.Context, client diamond.Client, key conf.Key, l diamond.Listener) error {
			v, err := diamond.Bind[string](ctx, client, key)
			if err == nil {
				err = l.OnConfig(ctx, v.Config())
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				local := clienttest.NewFiles()
				keys := manyKeys(c, local, campaign.Scale(t, 64, 3000))
				for _, key := range keys {
					c.Set(key, "new")
				}
				c.Slow(min(750*time.Millisecond, 150*time.Second/time.Duration(len(keys)))) // 50 ms with 3,000
				client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				var news, olds atomic.Int32
				var all sync.WaitGroup
				for _, key := range keys {
					all.Go(func() {
						var first sync.Once
						assert.NoError(t, begin(t.Context(), client, key, diamond.ListenerFunc(func(_ context.Context, config conf.Config) error {
							first.Do(func() {
								if config.Content == "new" {
									news.Add(1)
								} else {
									olds.Add(1)
								}
							})
							return nil
						})))
					})
				}
				all.Wait()
				time.Sleep(time.Minute)
				assert.Zero(t, olds.Load(), "listeners that got an older value first")
				assert.EqualValues(t, len(keys), news.Load())
			})
		})
	}
}

// manyKeys publishes n keys, and has local hold a snapshot of each. More than some
// 200 goroutines in a bubble, of which each key has three, may have the race detector
// of Go 1.26 end the process (golang.org/issue/78156): thousands are a campaign's.
func manyKeys(c *clienttest.Centre, local *clienttest.Files, n int) (keys []conf.Key) {
	contents := make(map[conf.Key]string)
	for i := range n {
		keys = append(keys, clienttest.KeyN(i))
		contents[clienttest.KeyN(i)] = "old " + strconv.Itoa(i)
	}
	c.SetAll(contents)
	for _, key := range keys {
		local.Snapshots[conf.SlotFetched][key] = clienttest.SnapshotOf(c, key)
	}
	return keys
}

// A program with many keys starts from its snapshots in the time that one key takes.
func TestStart_ManyKeysWhileServersAreDead(t *testing.T) {
	for name, dead := range map[string]func(*clienttest.Centre){
		"refused": func(c *clienttest.Centre) { c.Fail(clienttest.ErrDown) },
		"hanging": func(c *clienttest.Centre) { c.Hang() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				local := clienttest.NewFiles()
				keys := manyKeys(c, local, campaign.Scale(t, 64, 3000))
				dead(c)
				client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				start := time.Now()
				var all sync.WaitGroup
				for _, key := range keys {
					all.Go(func() {
						v, err := diamond.Bind[string](t.Context(), client, key, diamond.WithDefaultContent("text", "default"))
						if assert.NoError(t, err) {
							assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
							v.Close()
						}
					})
				}
				all.Wait()
				assert.LessOrEqual(t, time.Since(start), time.Second)

				c.Fail(nil)
				c.With(func() { c.OnFetch, c.OnPoll = nil, nil })
				time.Sleep(time.Minute)
				for _, key := range keys {
					require.Equal(t, conf.SourceServer, clienttest.Get(t, client, key).Source)
				}
			})
		})
	}
}

// Fetches that hang do not keep other fetches from a server that has recovered.
func TestStart_PlacesOfFetchesThatHangAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Hang()
		client := clienttest.NewClient(t, c)
		for i := range 100 {
			clienttest.Subscribe(t, client, clienttest.KeyN(i), &clienttest.Recorder{})
		}
		time.Sleep(1500 * time.Millisecond)
		c.FailFetches(nil)
		start := time.Now()
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		assert.Less(t, time.Since(start), 100*time.Millisecond)
	})
}
