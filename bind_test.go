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
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestBind_EachFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		for dataID, content := range map[string]string{
			"x.json": `{"rate": 5}`, "x.yaml": "rate: 5", "x.yml": "rate: 5", "x.toml": "rate = 5", "x.properties": "rate=5",
		} {
			key := diamond.NewKey("", dataID)
			c.Set(key, content)
			v, err := diamond.Bind[clienttest.Limits](t.Context(), client, key, diamond.WithStrict())
			require.NoError(t, err, dataID)
			assert.Equal(t, &clienttest.Limits{Rate: 5, Burst: 10}, v.Get(), dataID)
			assert.NoError(t, v.Err())
			assert.Equal(t, content, v.Config().Content)
			v.Close()
		}
		c.Set(diamond.NewKey("", "x.xml"), "<x/>")
		_, err := diamond.Bind[clienttest.Limits](t.Context(), client, diamond.NewKey("", "x.xml"))
		require.ErrorContains(t, err, `no decoder for type "xml"`)
		c.Set(diamond.NewKey("", "plain"), "\x00\xff")
		_, err = diamond.Bind[clienttest.Limits](t.Context(), client, diamond.NewKey("", "plain"))
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
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 5}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithStrict(),
			diamond.WithValidator(func(v any) error {
				if v.(*clienttest.Limits).Rate > 100 {
					return errors.New("rate is over 100")
				}
				return nil
			}))
		require.NoError(t, err)
		clienttest.Settle()
		for content, reason := range map[string]string{
			`{"rate": "CANARY"}`:          "line 1, column 10: a value does not fit: Rate is of type int",
			`{"rate": 1, CANARY`:          "line 1, column 13: not valid JSON",
			`{"rate": 1, "CANARY": true}`: "unknown field",
			`{"rate": 0}`:                 clienttest.ErrRate.Error(),
			`null`:                        "says nothing",
			`{"rate": 1000}`:              "rate is over 100",
			`{"burst": 3}`:                clienttest.ErrRate.Error(),
		} {
			bad := c.Set(clienttest.KeyA, content)
			clienttest.Settle()
			assert.Equal(t, 5, v.Get().Rate)
			require.ErrorContains(t, v.Err(), reason)
			assert.NotContains(t, fmt.Sprintf("%+v", v.Err()), "CANARY")
			assert.Equal(t, bad, client.Status(clienttest.KeyA)[0].Rejected)
			assert.Equal(t, `{"rate": 5}`, v.Config().Content)
		}
		require.ErrorIs(t, func() error { c.Set(clienttest.KeyA, `{"rate": -1}`); clienttest.Settle(); return v.Err() }(), clienttest.ErrRate)
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		assert.Equal(t, 5, v.Get().Rate, "a deletion leaves the last good one")
		c.Set(clienttest.KeyA, `{"rate": 7}`)
		clienttest.Settle()
		require.NoError(t, v.Err())
		assert.Equal(t, &clienttest.Limits{Rate: 7, Burst: 10}, v.Get())
		v.Close()
		v.Close()
		c.Set(clienttest.KeyA, `{"rate": 8}`)
		clienttest.Settle()
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
			c := clienttest.NewCentre()
			client := clienttest.NewClient(t, c)
			key := diamond.NewKey("", dataID)
			c.Set(key, contents[0])
			v, err := diamond.Bind[clienttest.Limits](t.Context(), client, key)
			require.NoError(t, err)
			byDefault, err := diamond.Bind[clienttest.Limits](t.Context(), client, key, diamond.WithDefaultContent("yaml", "rate: 9"))
			require.NoError(t, err)
			clienttest.Settle()
			for _, content := range contents[1:] {
				c.Set(key, content)
				clienttest.Settle()
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
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1, "labels": {"one": 1}}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefaultContent("yaml", "rate: 9\nburst: 7\nlabels: {base: 0}"))
		require.NoError(t, err)
		first := v.Get()
		assert.Equal(t, &clienttest.Limits{Rate: 1, Burst: 7, Labels: map[string]int{"base": 0, "one": 1}}, first, "decoded onto the default")
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 2, "labels": {"two": 2}}`)
		clienttest.Settle()
		assert.Equal(t, &clienttest.Limits{Rate: 2, Burst: 7, Labels: map[string]int{"base": 0, "two": 2}}, v.Get())
		assert.Equal(t, map[string]int{"base": 0, "one": 1}, first.Labels, "what was handed out does not change")
	})
}

func TestBind_Default(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		byDefault := diamond.WithDefaultContent("json", `{"rate": 9}`)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, byDefault)
		require.NoError(t, err)
		assert.Equal(t, 9, v.Get().Rate)
		assert.Equal(t, diamond.SourceDefault, v.Config().Source)
		require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		assert.Equal(t, 1, v.Get().Rate, "the value is taken when it comes")
		assert.Equal(t, diamond.SourceServer, v.Config().Source)
		require.NoError(t, v.Err())

		c.Set(clienttest.KeyB, `{"rate": 0}`)
		rejected, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyB, byDefault)
		require.NoError(t, err)
		assert.Equal(t, 9, rejected.Get().Rate)
		require.ErrorIs(t, rejected.Err(), clienttest.ErrRate)

		_, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyB, diamond.WithDefaultContent("json", `{"rate": 0}`))
		require.ErrorIs(t, err, diamond.ErrInvalid, "a default must be a good one")
		require.ErrorContains(t, err, clienttest.ErrRate.Error())
		_, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyB, diamond.WithDefaultContent("xml", `<x/>`))
		require.ErrorIs(t, err, diamond.ErrInvalid)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = diamond.Bind[clienttest.Limits](ctx, client, clienttest.KeyB, byDefault)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestBind_AnErrorLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 0}`)
		client := clienttest.NewClient(t, c)
		_, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.ErrorIs(t, err, clienttest.ErrRate)
		_, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyB)
		require.ErrorIs(t, err, diamond.ErrNotFound)
		for _, s := range client.Status() {
			assert.Zero(t, s.Listeners)
		}
		require.NoError(t, client.Close())
		_, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.ErrorIs(t, err, diamond.ErrClosed)
	})
}

func TestR7_BindFallsBackToTheLastGoodSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 5}`)
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 0}`)
		clienttest.Settle()
		v.Close()

		again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err = diamond.Bind[clienttest.Limits](t.Context(), again, clienttest.KeyA, diamond.WithDefaultContent("json", `{"rate": 9}`))
		require.NoError(t, err)
		assert.Equal(t, 5, v.Get().Rate, "rather than the default")
		assert.Equal(t, diamond.SourceSnapshot, v.Config().Source)
		require.ErrorIs(t, v.Err(), clienttest.ErrRate)
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 6}`)
		clienttest.Settle()
		assert.Equal(t, 6, v.Get().Rate)
		require.NoError(t, v.Err())
	})
}

func TestBind_OnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		set := func(n int) { c.Set(clienttest.KeyA, fmt.Sprintf(`{"rate": %d}`, n)); clienttest.Settle() }
		set(1)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		var mu sync.Mutex
		var calls []string
		note := func(name string) func(old, fresh *clienttest.Limits) {
			return func(old, fresh *clienttest.Limits) {
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
		v.OnChange(func(old, fresh *clienttest.Limits) { note("slow")(old, fresh); <-release })
		v.OnChange(func(old, fresh *clienttest.Limits) { panic("on purpose") })
		clienttest.Settle()
		assert.ElementsMatch(t, []string{"a none-1", "slow none-1"}, seen(), "the value in force comes first")
		release <- struct{}{}
		clienttest.Settle()
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
		within <- v.OnChange(func(old, _ *clienttest.Limits) {
			if old != nil {
				calls6++
				(<-within)()
				v.Close()
			}
		})
		clienttest.Settle()
		set(6)
		set(7)
		assert.Equal(t, 1, calls6)
		assert.Equal(t, 6, v.Get().Rate)
	})
}

func TestBind_StopOfOnChangeWaitsForTheCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
		returned := false
		stop := v.OnChange(func(_, _ *clienttest.Limits) { time.Sleep(time.Second); returned = true })
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		clienttest.Settle()
		stop()
		assert.True(t, returned)
	})
}

func TestBind_OverAnyClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `[1, 2]`)
		wrapped := struct{ diamond.Client }{clienttest.NewClient(t, c)}
		v, err := diamond.Bind[[]int](t.Context(), wrapped, clienttest.KeyA, diamond.WithDecoder(json.Unmarshal))
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2}, *v.Get())
	})
}

func TestBind_ConcurrentReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1, "burst": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
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
			c.Set(clienttest.KeyA, strings.ReplaceAll(`{"rate": N, "burst": N}`, "N", strconv.Itoa(i)))
			time.Sleep(time.Millisecond)
		}
		close(stop)
		wg.Wait()
		assert.Equal(t, 49, v.Get().Rate)
	})
}
