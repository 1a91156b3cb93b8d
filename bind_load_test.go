package diamond_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A publisher alternates two contents, and each value holds the MD5 of its content. It
// proves the most with the race detector.
func TestLoad_TheValueAndItsConfigBelongTogether(t *testing.T) {
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	defer srv.Close()
	client, err := diamond.NewClient(srv)
	require.NoError(t, err)
	defer client.Close()
	key := diamond.NewKey("", "a")
	publish := func(content string) {
		_, err := client.Publish(t.Context(), diamond.Draft{Key: key, Content: content})
		require.NoError(t, err)
	}
	publish("one")
	v, err := diamond.Bind[string](t.Context(), client, key, diamond.WithDecoder(func(data []byte, v any) error {
		*v.(*string) = conf.MD5Hex(string(data))
		return nil
	}))
	require.NoError(t, err)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				value, config := v.Load()
				if *value != config.MD5 {
					t.Errorf("the value is of %s, and the config of %s", *value, config.MD5)
					return
				}
			}
		})
	}
	for range 500 {
		publish("two")
		publish("one")
	}
	close(stop)
	wg.Wait()
}

func TestLoad_AnEqualValueHasTheSamePointerAndANewerConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
		before, config := v.Load()
		assert.Same(t, v.Get(), before)
		assert.Zero(t, testing.AllocsPerRun(100, func() { v.Get() }))
		assert.Equal(t, int64(1), config.Revision)

		newest := c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		now, config := v.Load()
		assert.Same(t, before, now)
		assert.Equal(t, newest, config.Revision)
		time.Sleep(time.Minute)
		_, later := v.Load()
		assert.True(t, later.Confirmed.After(config.Confirmed), "servers confirm it with each poll")

		c.Set(clienttest.KeyA, `{"rate": 0}`) // rejected
		clienttest.Settle()
		now, config = v.Load()
		assert.Same(t, before, now)
		assert.Equal(t, newest, config.Revision, "of the value, not of the rejected one")

		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		now, config = v.Load()
		assert.Same(t, before, now)
		assert.Equal(t, newest, config.Revision)

		c.Set(clienttest.KeyA, `{"rate": 2}`)
		clienttest.Settle()
		now, config = v.Load()
		assert.Equal(t, 2, now.Rate)
		v.Close()
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		time.Sleep(time.Minute)
		last, closed := v.Load()
		assert.Same(t, now, last)
		assert.Equal(t, config.Revision, closed.Revision)
		assert.Equal(t, closed, v.Config())
	})
}

func TestLoad_OfADefaultASnapshotAndAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		bind := func(client diamond.Client, key diamond.Key) *diamond.Value[clienttest.Limits] {
			v, err := diamond.Bind[clienttest.Limits](t.Context(), client, key, diamond.WithDefault(clienttest.Limits{Rate: 9}))
			require.NoError(t, err)
			return v
		}
		bind(client, clienttest.KeyA)
		clienttest.Settle()
		time.Sleep(time.Second)

		c.Fail(errors.New("away"))
		again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		byDefault, fromDisk := bind(again, clienttest.KeyB), bind(again, clienttest.KeyA)
		value, config := byDefault.Load()
		assert.Equal(t, clienttest.Limits{Rate: 9}, *value)
		assert.Equal(t, diamond.Config{Entry: diamond.Entry{Key: clienttest.KeyB}, Source: diamond.SourceDefault}, config)
		value, config = fromDisk.Load()
		assert.Equal(t, clienttest.Limits{Rate: 1}, *value)
		assert.Equal(t, diamond.SourceSnapshot, config.Source)

		c.Fail(nil)
		time.Sleep(time.Minute)
		now, config := fromDisk.Load()
		assert.Same(t, value, now)
		assert.Equal(t, diamond.SourceServer, config.Source)
	})
}
