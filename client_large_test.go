package diamond_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	diamond "github.com/linnaname/gdiamond"
)

// A large content that cannot be fetched now does not hold up what changes
// meanwhile in other keys.
func TestC2_ALargeContentHurtsOnlyItself(t *testing.T) {
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
			c.onFetch = func(ctx context.Context, _ *diamond.FetchRequest) (*diamond.FetchResponse, error) {
				return nil, ended(ctx)
			}
		})
		c.set(keyA, strings.Repeat("x", diamond.InlineContent+1))
		settle()
		start := time.Now()
		c.set(keyB, "b1")
		for len(b.contents()) < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		assert.Less(t, time.Since(start), 4*time.Second)
		c.fail(nil)
		time.Sleep(time.Minute)
		assert.Len(t, get(t, client, keyA).Content, diamond.InlineContent+1)
	})
}
