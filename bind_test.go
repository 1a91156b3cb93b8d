package diamond_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

type limits struct {
	Rate   int            `json:"rate" yaml:"rate" toml:"rate"`
	Burst  int            `json:"burst" yaml:"burst" toml:"burst"`
	Labels map[string]int `json:"labels" yaml:"labels" toml:"labels"`
}

var errRate = errors.New("rate must be positive")

func (l *limits) SetDefaults() { l.Burst = 10 }

func (l limits) Validate() error {
	if l.Rate <= 0 {
		return errRate
	}
	return nil
}

func TestBind_EachFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		for dataID, content := range map[string]string{
			"x.json": `{"rate": 5}`, "x.yaml": "rate: 5", "x.yml": "rate: 5", "x.toml": "rate = 5", "x.properties": "rate=5",
		} {
			key := diamond.NewKey("", dataID)
			c.set(key, content)
			v, err := diamond.Bind[limits](t.Context(), client, key, diamond.WithStrict())
			require.NoError(t, err, dataID)
			assert.Equal(t, &limits{Rate: 5, Burst: 10}, v.Get(), dataID)
			assert.NoError(t, v.Err())
			assert.Equal(t, content, v.Config().Content)
			v.Close()
		}
		c.set(diamond.NewKey("", "x.xml"), "<x/>")
		_, err := diamond.Bind[limits](t.Context(), client, diamond.NewKey("", "x.xml"))
		require.ErrorContains(t, err, `no decoder for type "xml"`)
		c.set(diamond.NewKey("", "plain"), "\x00\xff")
		_, err = diamond.Bind[limits](t.Context(), client, diamond.NewKey("", "plain"))
		require.ErrorContains(t, err, `no decoder for type ""`)

		text, err := diamond.Bind[string](t.Context(), client, diamond.NewKey("", "plain"))
		require.NoError(t, err)
		assert.Equal(t, "\x00\xff", *text.Get())
		raw, err := diamond.Bind[[]byte](t.Context(), client, diamond.NewKey("", "x.xml"))
		require.NoError(t, err)
		assert.Equal(t, "<x/>", string(*raw.Get()))
		upper, err := diamond.Bind[string](t.Context(), client, diamond.NewKey("", "plain"),
			diamond.WithDecoder(func(data []byte, v any) error { *v.(*string) = strconv.Itoa(len(data)); return nil }))
		require.NoError(t, err)
		assert.Equal(t, "2", *upper.Get())
	})
}

func TestC15_BindKeepsTheLastGoodValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 5}`)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA, diamond.WithStrict(),
			diamond.WithValidator(func(v any) error {
				if v.(*limits).Rate > 100 {
					return errors.New("rate is over 100")
				}
				return nil
			}))
		require.NoError(t, err)
		settle()
		for content, reason := range map[string]string{
			`{"rate": "CANARY"}`:          "line 1, column 10: a value does not fit: Rate is of type int",
			`{"rate": 1, CANARY`:          "line 1, column 13: not valid JSON",
			`{"rate": 1, "CANARY": true}`: "unknown field",
			`{"rate": 0}`:                 errRate.Error(),
			`null`:                        "says nothing",
			`{"rate": 1000}`:              "rate is over 100",
			`{"burst": 3}`:                errRate.Error(),
		} {
			bad := c.set(keyA, content)
			settle()
			assert.Equal(t, 5, v.Get().Rate)
			require.ErrorContains(t, v.Err(), reason)
			assert.NotContains(t, fmt.Sprintf("%+v", v.Err()), "CANARY")
			assert.Equal(t, bad, client.Status(keyA)[0].Rejected)
			assert.Equal(t, `{"rate": 5}`, v.Config().Content)
		}
		require.ErrorIs(t, func() error { c.set(keyA, `{"rate": -1}`); settle(); return v.Err() }(), errRate)
		c.remove(keyA)
		settle()
		require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		assert.Equal(t, 5, v.Get().Rate, "a deletion leaves the last good one")
		c.set(keyA, `{"rate": 7}`)
		settle()
		require.NoError(t, v.Err())
		assert.Equal(t, &limits{Rate: 7, Burst: 10}, v.Get())
		v.Close()
		v.Close()
		c.set(keyA, `{"rate": 8}`)
		settle()
		assert.Equal(t, 7, v.Get().Rate, "it stays as it was when closed")
	})
}

// A content that says nothing stands for the default where there is one; where
// there is none, the value in force stays.
func TestBind_AContentThatSaysNothing(t *testing.T) {
	for dataID, contents := range map[string][]string{
		"a.yaml": {"rate: 5", "# rate: 5", "---", "~"}, "a.json": {`{"rate": 5}`, "null", " "},
		"a.toml": {"rate = 5", "# rate = 5"}, "a.properties": {"rate=5", "! rate=5", "\ufeff"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCentre()
			client := newClient(t, c)
			key := diamond.NewKey("", dataID)
			c.set(key, contents[0])
			v, err := diamond.Bind[limits](t.Context(), client, key)
			require.NoError(t, err)
			byDefault, err := diamond.Bind[limits](t.Context(), client, key, diamond.WithDefault("yaml", "rate: 9"))
			require.NoError(t, err)
			settle()
			for _, content := range contents[1:] {
				c.set(key, content)
				settle()
				assert.Equal(t, 5, v.Get().Rate, "%q", content)
				require.ErrorContains(t, v.Err(), "says nothing", "%q", content)
				assert.Equal(t, 9, byDefault.Get().Rate, "%q", content)
				require.NoError(t, byDefault.Err())
			}
		})
	}
}

func TestBind_FreshValuesShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1, "labels": {"one": 1}}`)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA, diamond.WithDefault("yaml", "rate: 9\nburst: 7\nlabels: {base: 0}"))
		require.NoError(t, err)
		first := v.Get()
		assert.Equal(t, &limits{Rate: 1, Burst: 7, Labels: map[string]int{"base": 0, "one": 1}}, first, "decoded onto the default")
		settle()
		c.set(keyA, `{"rate": 2, "labels": {"two": 2}}`)
		settle()
		assert.Equal(t, &limits{Rate: 2, Burst: 7, Labels: map[string]int{"base": 0, "two": 2}}, v.Get())
		assert.Equal(t, map[string]int{"base": 0, "one": 1}, first.Labels, "what was handed out does not change")
	})
}

func TestBind_Default(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		byDefault := diamond.WithDefault("json", `{"rate": 9}`)
		v, err := diamond.Bind[limits](t.Context(), client, keyA, byDefault)
		require.NoError(t, err)
		assert.Equal(t, 9, v.Get().Rate)
		assert.Equal(t, diamond.SourceDefault, v.Config().Source)
		require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		settle()
		c.set(keyA, `{"rate": 1}`)
		settle()
		assert.Equal(t, 1, v.Get().Rate, "the value is taken when it comes")
		assert.Equal(t, diamond.SourceServer, v.Config().Source)
		require.NoError(t, v.Err())

		c.set(keyB, `{"rate": 0}`)
		rejected, err := diamond.Bind[limits](t.Context(), client, keyB, byDefault)
		require.NoError(t, err)
		assert.Equal(t, 9, rejected.Get().Rate)
		require.ErrorIs(t, rejected.Err(), errRate)

		_, err = diamond.Bind[limits](t.Context(), client, keyB, diamond.WithDefault("json", `{"rate": 0}`))
		require.ErrorIs(t, err, diamond.ErrInvalid, "a default must be a good one")
		require.ErrorContains(t, err, errRate.Error())
		_, err = diamond.Bind[limits](t.Context(), client, keyB, diamond.WithDefault("xml", `<x/>`))
		require.ErrorIs(t, err, diamond.ErrInvalid)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = diamond.Bind[limits](ctx, client, keyB, byDefault)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestBind_AnErrorLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 0}`)
		client := newClient(t, c)
		_, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.ErrorIs(t, err, errRate)
		_, err = diamond.Bind[limits](t.Context(), client, keyB)
		require.ErrorIs(t, err, diamond.ErrNotFound)
		for _, s := range client.Status() {
			assert.Zero(t, s.Listeners)
		}
		require.NoError(t, client.Close())
		_, err = diamond.Bind[limits](t.Context(), client, keyA)
		require.ErrorIs(t, err, diamond.ErrClosed)
	})
}

func TestR7_BindFallsBackToTheLastGoodSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 5}`)
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		settle()
		c.set(keyA, `{"rate": 0}`)
		settle()
		v.Close()

		again := newClient(t, c, diamond.WithLocalFiles(local))
		v, err = diamond.Bind[limits](t.Context(), again, keyA, diamond.WithDefault("json", `{"rate": 9}`))
		require.NoError(t, err)
		assert.Equal(t, 5, v.Get().Rate, "rather than the default")
		assert.Equal(t, diamond.SourceSnapshot, v.Config().Source)
		require.ErrorIs(t, v.Err(), errRate)
		settle()
		c.set(keyA, `{"rate": 6}`)
		settle()
		assert.Equal(t, 6, v.Get().Rate)
		require.NoError(t, v.Err())
	})
}

func TestBind_OnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		set := func(n int) { c.set(keyA, fmt.Sprintf(`{"rate": %d}`, n)); settle() }
		set(1)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		var mu sync.Mutex
		var calls []string
		note := func(name string) func(old, fresh *limits) {
			return func(old, fresh *limits) {
				mu.Lock()
				defer mu.Unlock()
				before := "none"
				if old != nil {
					before = fmt.Sprint(old.Rate)
				}
				calls = append(calls, fmt.Sprintf("%s %s-%d", name, before, fresh.Rate))
			}
		}
		seen := func() []string {
			mu.Lock()
			defer mu.Unlock()
			out := calls
			calls = nil
			return out
		}
		release := make(chan struct{})
		stop := v.OnChange(note("a"))
		v.OnChange(func(old, fresh *limits) { note("slow")(old, fresh); <-release })
		v.OnChange(func(old, fresh *limits) { panic("on purpose") })
		settle()
		assert.ElementsMatch(t, []string{"a none-1", "slow none-1"}, seen(), "the value in force comes first")
		release <- struct{}{}
		settle()
		set(2)
		assert.ElementsMatch(t, []string{"a 1-2", "slow 1-2"}, seen())
		set(3)
		set(0) // rejected
		set(4)
		assert.Equal(t, []string{"a 2-3", "a 3-4"}, seen(), "a slow one hurts only itself")
		assert.Equal(t, 4, v.Get().Rate)
		release <- struct{}{}
		synctest.Wait()
		assert.Equal(t, []string{"slow 2-4"}, seen(), "the latest wins")
		stop()
		stop()
		close(release)
		set(5)
		assert.Equal(t, []string{"slow 4-5"}, seen())
		within := make(chan func(), 1)
		calls6 := 0
		within <- v.OnChange(func(old, _ *limits) {
			if old != nil {
				calls6++
				(<-within)()
				v.Close()
			}
		})
		settle()
		set(6)
		set(7)
		assert.Equal(t, 1, calls6)
		assert.Equal(t, 6, v.Get().Rate)
	})
}

func TestBind_StopOfOnChangeWaitsForTheCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		settle()
		returned := false
		stop := v.OnChange(func(_, _ *limits) { time.Sleep(time.Second); returned = true })
		c.set(keyA, `{"rate": 2}`)
		settle()
		stop()
		assert.True(t, returned)
	})
}

func TestBind_OverAnyClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `[1, 2]`)
		wrapped := struct{ diamond.Client }{newClient(t, c)}
		v, err := diamond.Bind[[]int](t.Context(), wrapped, keyA, diamond.WithDecoder(json.Unmarshal))
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2}, *v.Get())
	})
}

func TestBind_ConcurrentReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1, "burst": 1}`)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		settle()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for last := 0; ; {
					select {
					case <-stop:
						return
					default:
					}
					l := v.Get()
					assert.Equal(t, l.Rate, l.Burst, "never a mix of two")
					assert.GreaterOrEqual(t, l.Rate, last)
					last = l.Rate
					_, _ = v.Err(), v.Config()
					time.Sleep(time.Microsecond)
				}
			})
		}
		for i := 2; i < 50; i++ {
			c.set(keyA, strings.ReplaceAll(`{"rate": N, "burst": N}`, "N", strconv.Itoa(i)))
			time.Sleep(time.Millisecond)
		}
		close(stop)
		wg.Wait()
		assert.Equal(t, 49, v.Get().Rate)
	})
}
