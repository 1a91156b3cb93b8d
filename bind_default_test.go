package diamond_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// nested is a configuration that refers to what could be shared by mistake.
type nested struct {
	Labels map[string]int            `json:"labels"`
	Deep   map[string]map[string]int `json:"deep"`
	List   []int                     `json:"list"`
	Limit  *big.Int                  `json:"limit"`
	Inner  *nested                   `json:"inner"`
	Self   *nested                   `json:"-"`
}

func newNested() nested {
	n := nested{
		Labels: map[string]int{"a": 1}, Deep: map[string]map[string]int{"x": {"y": 1}}, List: []int{1, 2},
		Limit: big.NewInt(1), Inner: &nested{Labels: map[string]int{"a": 1}},
	}
	n.Self = &n
	return n
}

func (n *nested) text(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(n)
	require.NoError(t, err)
	return string(b)
}

func TestWithDefault_EachContentIsDecodedOntoACopy(t *testing.T) {
	for name, decoder := range map[string]diamond.BindOption{
		"of the type": diamond.WithStrict(), "of the program": diamond.WithDecoder(json.Unmarshal),
	} {
		synctest.Test(t, func(t *testing.T) {
			c := clienttest.NewCentre()
			client := clienttest.NewClient(t, c)
			value := newNested()
			v, err := diamond.Bind[nested](t.Context(), client, clienttest.KeyA, diamond.WithDefault(value), decoder)
			require.NoError(t, err, name)
			byDefault := value
			want := byDefault.text(t)
			first := v.Get()
			assert.Equal(t, want, first.text(t))
			assert.NotSame(t, value.Self, first.Self)
			assert.Same(t, first.Self, first.Self.Self)

			clienttest.Settle()
			c.Set(clienttest.KeyA, `{"labels": {"b": 2}, "deep": {"z": {"y": 2}}, "list": [9], "limit": 9, "inner": {"labels": {"b": 2}}}`)
			clienttest.Settle()
			assert.JSONEq(t, `{"labels": {"a": 1, "b": 2}, "deep": {"x": {"y": 1}, "z": {"y": 2}}, "list": [9], "limit": 9,
				"inner": {"labels": {"a": 1, "b": 2}, "deep": null, "list": null, "limit": null, "inner": null}}`, v.Get().text(t), name)
			assert.Equal(t, want, first.text(t), "what was handed out does not change")

			c.Set(clienttest.KeyA, `{}`)
			clienttest.Settle()
			assert.Equal(t, want, v.Get().text(t), "the next content begins with the default again")
			c.Remove(clienttest.KeyA)
			clienttest.Settle()
			assert.Equal(t, want, v.Get().text(t))
			assert.Equal(t, want, value.text(t))
		})
	}
}

func TestWithDefault_LaterChangesOfTheValueHaveNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		value := newNested()
		option := diamond.WithDefault(value)
		value.Labels["a"] = 100
		v, err := diamond.Bind[nested](t.Context(), client, clienttest.KeyA, option)
		require.NoError(t, err)
		assert.Equal(t, 1, v.Get().Labels["a"])
		value.Deep["x"]["y"] = 100
		v.Get().List[0] = 100 // it must not, and changes only what it has
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"limit": 2}`)
		clienttest.Settle()
		assert.Equal(t, map[string]map[string]int{"x": {"y": 1}}, v.Get().Deep)
		assert.Equal(t, []int{1, 2}, v.Get().List)

		another, err := diamond.Bind[nested](t.Context(), client, clienttest.KeyB, option)
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2}, another.Get().List, "an option may be used several times")
	})
}

func TestWithDefault_MustBeOfTheType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		type wrong struct {
			value any
			said  string
		}
		for _, w := range []wrong{
			{&clienttest.Limits{Rate: 1}, "its type is *clienttest.Limits and must be clienttest.Limits"},
			{(*clienttest.Limits)(nil), "its type is *clienttest.Limits and must be clienttest.Limits"},
			{nil, "its type is <nil> and must be clienttest.Limits"},
			{error(nil), "its type is <nil> and must be clienttest.Limits"},
			{`{"rate": 1}`, "its type is string and must be clienttest.Limits"},
		} {
			_, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(w.value))
			require.ErrorIs(t, err, diamond.ErrInvalid)
			require.EqualError(t, err, "diamond: bind "+clienttest.KeyA.String()+": invalid: the default cannot be used: "+w.said)
			for _, config := range []diamond.Config{
				{}, {Entry: diamond.Entry{Key: clienttest.KeyA, Content: `{"rate": 1}`}, Source: diamond.SourceServer},
			} {
				_, err = diamond.Decode[clienttest.Limits](config, diamond.WithDefault(w.value))
				require.ErrorIs(t, err, diamond.ErrInvalid)
				require.ErrorContains(t, err, w.said)
			}
		}
		_, err := diamond.Decode[int64](diamond.Config{}, diamond.WithDefault(5))
		require.ErrorContains(t, err, "its type is int and must be int64")
		clienttest.Settle()
		assert.Empty(t, client.Status(), "nobody was asked")
		assert.Zero(t, c.FetchCount(clienttest.KeyA))
	})
}

func TestWithDefault_MustBeValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clienttest.NewClient(t, clienttest.NewCentre())
		_, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{}))
		require.ErrorIs(t, err, diamond.ErrInvalid)
		require.ErrorContains(t, err, clienttest.ErrRate.Error())
		tooHigh := diamond.WithValidator(func(v any) error {
			if v.(*clienttest.Limits).Rate > 10 {
				return errors.New("too high")
			}
			return nil
		})
		_, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{Rate: 11}), tooHigh)
		require.ErrorIs(t, err, diamond.ErrInvalid)
		require.ErrorContains(t, err, "too high")
		_, err = diamond.Decode[clienttest.Limits](diamond.Config{}, diamond.WithDefault(clienttest.Limits{}))
		require.ErrorIs(t, err, clienttest.ErrRate)
		assert.Empty(t, client.Status())
	})
}

// The value says all: SetDefaults is only for what a content does not say.
func TestWithDefault_AndSetDefaults(t *testing.T) {
	zero := diamond.Config{}
	got, err := diamond.Decode[clienttest.Limits](zero, diamond.WithDefault(clienttest.Limits{Rate: 1}))
	require.NoError(t, err)
	assert.Equal(t, clienttest.Limits{Rate: 1}, *got)
	got, err = diamond.Decode[clienttest.Limits](zero, diamond.WithDefaultContent("json", `{"rate": 1}`))
	require.NoError(t, err)
	assert.Equal(t, clienttest.Limits{Rate: 1, Burst: 10}, *got)

	published := diamond.Config{Entry: diamond.Entry{Key: clienttest.KeyA, Content: "rate: 2", Type: "yaml"}, Source: diamond.SourceServer}
	got, err = diamond.Decode[clienttest.Limits](published, diamond.WithDefault(clienttest.Limits{Rate: 1}))
	require.NoError(t, err)
	assert.Equal(t, clienttest.Limits{Rate: 2}, *got)
	published.Content = "# nothing"
	got, err = diamond.Decode[clienttest.Limits](published, diamond.WithDefault(clienttest.Limits{Rate: 1}))
	require.NoError(t, err)
	assert.Equal(t, clienttest.Limits{Rate: 1}, *got, "a content that says nothing stands for the default")

	for want, options := range map[int][]diamond.BindOption{
		1: {diamond.WithDefaultContent("json", `{"rate": 2}`), diamond.WithDefault(clienttest.Limits{Rate: 1})},
		2: {diamond.WithDefault(clienttest.Limits{Rate: 1}), diamond.WithDefaultContent("json", `{"rate": 2}`)},
		3: {diamond.WithDefault("no Limits"), diamond.WithDefault(clienttest.Limits{Rate: 3})},
	} {
		got, err = diamond.Decode[clienttest.Limits](zero, options...)
		require.NoError(t, err)
		assert.Equal(t, want, got.Rate, "the last one counts")
	}
}

func TestWithDefault_OfOtherKinds(t *testing.T) {
	type name string
	zero := diamond.Config{}
	text, err := diamond.Decode[name](zero, diamond.WithDefault(name("a")))
	require.NoError(t, err)
	assert.Equal(t, name("a"), *text)
	raw, err := diamond.Decode[[]byte](zero, diamond.WithDefault([]byte("a")))
	require.NoError(t, err)
	assert.Equal(t, []byte("a"), *raw)
	free, err := diamond.Decode[any](zero, diamond.WithDefault([]int{1}))
	require.NoError(t, err)
	assert.Equal(t, any([]int{1}), *free)
	pointer, err := diamond.Decode[*int](zero, diamond.WithDefault((*int)(nil)))
	require.NoError(t, err)
	assert.Nil(t, *pointer)

	published := diamond.Config{Entry: diamond.Entry{Key: clienttest.KeyA, Content: "b"}, Source: diamond.SourceServer}
	text, err = diamond.Decode[name](published, diamond.WithDefault(name("a")))
	require.NoError(t, err)
	assert.Equal(t, name("b"), *text)
}

// Config is that of the default while it is used, also after a deletion, of which the
// client knows nothing but the key either.
func TestWithDefault_Config(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{Rate: 9}))
		require.NoError(t, err)
		byDefault := diamond.Config{Entry: diamond.Entry{Key: clienttest.KeyA}, Source: diamond.SourceDefault}
		assert.Equal(t, byDefault, v.Config())
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		assert.Equal(t, diamond.SourceServer, v.Config().Source)
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		assert.Equal(t, clienttest.Limits{Rate: 9}, *v.Get())
		assert.Equal(t, byDefault, v.Config())
		require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		assert.NotContains(t, fmt.Sprint(c.Reported()), "Revision:0", "a default is not reported")
	})
}

// Readers of the default's map are never disturbed by contents decoded onto it. It
// proves the most with the race detector.
func TestWithDefault_ConcurrentReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[nested](t.Context(), client, clienttest.KeyA, diamond.WithDefault(newNested()))
		require.NoError(t, err)
		clienttest.Settle()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					n := v.Get()
					assert.Equal(t, 1, n.Labels["a"])
					assert.Equal(t, int64(len(n.Labels)), n.Limit.Int64())
					time.Sleep(time.Microsecond)
				}
			})
		}
		for range 30 {
			c.Set(clienttest.KeyA, `{"labels": {"b": 1}, "limit": 2}`)
			time.Sleep(time.Millisecond)
			c.Remove(clienttest.KeyA)
			time.Sleep(time.Millisecond)
		}
		close(stop)
		wg.Wait()
	})
}
