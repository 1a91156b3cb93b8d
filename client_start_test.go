package diamond_test

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
)

type number struct {
	N int `json:"n"`
}

// withSnapshots returns local files that hold what c has of keys.
func withSnapshots(c *centre, keys ...conf.Key) *files {
	local := newFiles()
	for _, key := range keys {
		local.snapshots[conf.SlotFetched][key] = snapshotOf(c, key)
	}
	return local
}

// slow has c answer each fetch after d.
func (c *centre) slow(d time.Duration) {
	c.with(func() {
		c.onFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
			select {
			case <-time.After(d):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	})
}

func TestBind_ASnapshotBeatsADefaultAlways(t *testing.T) {
	for name, dead := range map[string]func(*centre){
		"refused": func(c *centre) { c.fail(errDown) },
		"hanging": func(c *centre) { c.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					c := newCentre()
					c.set(keyA, `{"n": 42}`)
					local := withSnapshots(c, keyA)
					dead(c)
					for name, within := range map[string]time.Duration{"own": 0, "short": 100 * time.Millisecond, "a second": time.Second} {
						client := newClient(t, c, diamond.WithLocalFiles(local))
						ctx, start := t.Context(), time.Now()
						if within > 0 {
							bounded, cancel := context.WithTimeout(ctx, within)
							defer cancel()
							ctx = bounded
						}
						v, err := diamond.Bind[number](ctx, client, keyA, diamond.WithDefault("json", `{"n": 1}`))
						require.NoError(t, err)
						assert.Equal(t, 42, v.Get().N, name)
						assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
						require.NoError(t, v.Err())
						assert.LessOrEqual(t, time.Since(start), time.Second)
						v.Close()

						v, err = diamond.Bind[number](t.Context(), client, keyB, diamond.WithDefault("json", `{"n": 1}`))
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

// A disk that takes longer than servers have does not let a default win.
func TestBind_ASlowSnapshotBeatsADefaultToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"n": 42}`)
		local := withSnapshots(c, keyA)
		local.loadDelay = 1500 * time.Millisecond
		c.hang()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[number](t.Context(), client, keyA, diamond.WithDefault("json", `{"n": 1}`))
		require.NoError(t, err)
		assert.Equal(t, 42, v.Get().N)
		v.Close()
	})
}

// A Bind that comes while a first fetch is late does not wait for its end.
func TestBind_ADefaultWaitsNoLongerThanServersHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.hang()
		client := newClient(t, c)
		for _, after := range []time.Duration{0, 500 * time.Millisecond, 2 * time.Second, 30 * time.Second} {
			time.Sleep(after)
			start := time.Now()
			v, err := diamond.Bind[number](t.Context(), client, keyA, diamond.WithDefault("json", `{"n": 1}`))
			require.NoError(t, err)
			assert.LessOrEqual(t, time.Since(start), time.Second)
			require.ErrorIs(t, v.Err(), conf.ErrUnavailable)
			v.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := diamond.Bind[number](ctx, client, keyB, diamond.WithDefault("json", `{"n": 1}`))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestStart_ACallersOwnDeadlineComesAfterItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"n": 42}`)
		local := withSnapshots(c, keyA)
		c.hang()
		for _, within := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second} {
			for name, read := range map[string]func(context.Context, diamond.Client) error{
				"Get": func(ctx context.Context, client diamond.Client) error {
					_, err := client.Get(ctx, keyA)
					return err
				},
				"Wait": func(ctx context.Context, client diamond.Client) error {
					return subscribe(t, client, keyA, &recorder{}).Wait(ctx)
				},
				"Bind": func(ctx context.Context, client diamond.Client) error {
					v, err := diamond.Bind[number](ctx, client, keyA)
					if err == nil {
						v.Close()
					}
					return err
				},
			} {
				client := newClient(t, c, diamond.WithLocalFiles(local))
				ctx, cancel := context.WithTimeout(t.Context(), within)
				require.NoError(t, read(ctx, client), "%s within %v", name, within)
				cancel()
			}
		}
	})
}

// Each key has its time with a server that answers, also where many keys wait for theirs.
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
				c := newCentre()
				local := newFiles()
				keys := manyKeys(c, local, campaign.Scale(t, 64, 3000))
				for _, key := range keys {
					c.set(key, "new")
				}
				c.slow(min(750*time.Millisecond, 150*time.Second/time.Duration(len(keys)))) // 50 ms with 3,000
				client := newClient(t, c, diamond.WithLocalFiles(local))
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
func manyKeys(c *centre, local *files, n int) (keys []conf.Key) {
	contents := make(map[conf.Key]string)
	for i := range n {
		keys = append(keys, keyN(i))
		contents[keyN(i)] = "old " + strconv.Itoa(i)
	}
	c.setAll(contents)
	for _, key := range keys {
		local.snapshots[conf.SlotFetched][key] = snapshotOf(c, key)
	}
	return keys
}

// A program with many keys starts from its snapshots in the time that one key takes.
func TestStart_ManyKeysWhileServersAreDead(t *testing.T) {
	for name, dead := range map[string]func(*centre){
		"refused": func(c *centre) { c.fail(errDown) },
		"hanging": func(c *centre) { c.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				local := newFiles()
				keys := manyKeys(c, local, campaign.Scale(t, 64, 3000))
				dead(c)
				client := newClient(t, c, diamond.WithLocalFiles(local))
				start := time.Now()
				var all sync.WaitGroup
				for _, key := range keys {
					all.Go(func() {
						v, err := diamond.Bind[string](t.Context(), client, key, diamond.WithDefault("text", "default"))
						if assert.NoError(t, err) {
							assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
							v.Close()
						}
					})
				}
				all.Wait()
				assert.LessOrEqual(t, time.Since(start), time.Second)

				c.fail(nil)
				c.with(func() { c.onFetch, c.onPoll = nil, nil })
				time.Sleep(time.Minute)
				for _, key := range keys {
					require.Equal(t, conf.SourceServer, get(t, client, key).Source)
				}
			})
		})
	}
}

// Fetches that hang do not keep others from a server that is well again.
func TestStart_PlacesOfFetchesThatHangAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.hang()
		client := newClient(t, c)
		for i := range 100 {
			subscribe(t, client, keyN(i), &recorder{})
		}
		time.Sleep(1500 * time.Millisecond)
		c.failFetches(nil)
		start := time.Now()
		assert.Equal(t, "a", get(t, client, keyA).Content)
		assert.Less(t, time.Since(start), 100*time.Millisecond)
	})
}
