package follower_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// A large content arrives even over a very slow line, at start and when it changes. The
// contents that are requested together with it do not wait for it.
func TestC2_ALargeContentOverASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("x", conf.InlineContent+1)
		c := clienttest.NewCentre()
		c.OnFetch = func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			takes := 5 * time.Second
			if req.Key == clienttest.KeyA {
				takes = 30 * time.Second
			}
			select {
			case <-time.After(takes):
				return nil, nil
			case <-ctx.Done():
				return nil, &conf.Error{Err: ctx.Err()}
			}
		}
		c.SetAll(map[conf.Key]string{clienttest.KeyA: large + "1", clienttest.KeyB: large + "1"})
		client := clienttest.NewClient(t, c)
		var a, b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &a)
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{large + "1"}, a.Contents())
		c.SetAll(map[conf.Key]string{clienttest.KeyA: large + "2", clienttest.KeyB: large + "2"})
		time.Sleep(15 * time.Second)
		assert.Equal(t, []string{large + "1", large + "2"}, b.Contents())
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{large + "1", large + "2"}, a.Contents())
	})
}

// A large content that cannot be fetched now does not delay the changes of other keys.
func TestC2_LargeContentDelaysNoOtherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "small")
		c.Set(clienttest.KeyB, "b0")
		client := clienttest.NewClient(t, c)
		var b clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Subscribe(t, client, clienttest.KeyB, &b)
		clienttest.Settle()
		c.With(func() {
			c.OnFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
				return nil, clienttest.Ended(ctx)
			}
		})
		c.Set(clienttest.KeyA, strings.Repeat("x", conf.InlineContent+1))
		clienttest.Settle()
		start := time.Now()
		c.Set(clienttest.KeyB, "b1")
		for len(b.Contents()) < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		assert.Less(t, time.Since(start), 4*time.Second)
		c.Fail(nil)
		time.Sleep(time.Minute)
		assert.Len(t, clienttest.Get(t, client, clienttest.KeyA).Content, conf.InlineContent+1)
	})
}
