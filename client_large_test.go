package diamond_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
)

// A large content over a line so slow that others have given it up long before
// arrives all the same, at start and when it changes, and those that are asked
// for with it do not wait for it.
func TestC2_ALargeContentOverASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := strings.Repeat("x", conf.InlineContent+1)
		c := newCentre()
		c.onFetch = func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			takes := 5 * time.Second
			if req.Key == keyA {
				takes = 30 * time.Second
			}
			select {
			case <-time.After(takes):
				return nil, nil
			case <-ctx.Done():
				return nil, &conf.Error{Err: ctx.Err()}
			}
		}
		c.setAll(map[conf.Key]string{keyA: large + "1", keyB: large + "1"})
		client := newClient(t, c)
		var a, b recorder
		subscribe(t, client, keyA, &a)
		subscribe(t, client, keyB, &b)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{large + "1"}, a.contents())
		c.setAll(map[conf.Key]string{keyA: large + "2", keyB: large + "2"})
		time.Sleep(15 * time.Second)
		assert.Equal(t, []string{large + "1", large + "2"}, b.contents())
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{large + "1", large + "2"}, a.contents())
	})
}

// A large content that cannot be fetched now does not hold up what changes
// meanwhile in other keys.
func TestC2_LargeContentDelaysNoOtherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "small")
		c.set(keyB, "b0")
		client := newClient(t, c)
		var b recorder
		subscribe(t, client, keyA, &recorder{})
		subscribe(t, client, keyB, &b)
		settle()
		c.with(func() {
			c.onFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
				return nil, ended(ctx)
			}
		})
		c.set(keyA, strings.Repeat("x", conf.InlineContent+1))
		settle()
		start := time.Now()
		c.set(keyB, "b1")
		for len(b.contents()) < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		assert.Less(t, time.Since(start), 4*time.Second)
		c.fail(nil)
		time.Sleep(time.Minute)
		assert.Len(t, get(t, client, keyA).Content, conf.InlineContent+1)
	})
}
