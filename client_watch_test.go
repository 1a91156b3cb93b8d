package diamond_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	diamond "github.com/linnaname/gdiamond"
)

// A server, or something on the way, that answers at once with nothing must
// not keep a watch busy.
func TestWatch_EmptyAnswersDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		calls := 0
		c.onChanges = func(_ context.Context, req *diamond.ChangesRequest) (*diamond.ChangesResponse, error) {
			time.Sleep(time.Millisecond)
			calls++
			return &diamond.ChangesResponse{Position: c.position()}, nil
		}
		client := newClient(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range client.Watch(ctx, diamond.ChangesRequest{}) {
		}
		assert.Less(t, calls, 100, "in a minute")
	})
}
