package diamond_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// The storage was restored while no server ran, and nobody began a new epoch:
// the servers have an older value than the client. It does not go back, but it
// does not say either that a server has confirmed what it keeps.
func TestS11_AValueThatServersContradictIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		before := serve(t, first)
		for i := range 10 {
			before.publish("a.json", fmt.Sprint("old ", i))
		}
		way := &detour{}
		way.to.Store(before)
		client := newClient(t, way)
		subscribe(t, client, keyA, &recorder{})
		assert.Equal(t, "old 9", get(t, client, keyA).Content)
		settle()

		replica := &clocked{Store: withoutTail(t, first, 5)}
		replica.at, _ = replica.At(t.Context())
		after := serve(t, replica)
		way.to.Store(after)
		require.NoError(t, before.Close())
		for i := range 7 {
			after.publish("other", fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		lost := time.Now()
		time.Sleep(10 * time.Minute)
		config := get(t, client, keyA)
		assert.Equal(t, "old 9", config.Content, "no client goes back within an epoch")
		assert.Less(t, config.Confirmed, lost)
		require.ErrorIs(t, client.Status(keyA)[0].Err, conf.ErrEpoch)

		after.publish("a.json", "new")
		settle()
		config = get(t, client, keyA)
		assert.Equal(t, "new", config.Content)
		time.Sleep(time.Minute)
		assert.Less(t, time.Since(get(t, client, keyA).Confirmed), 30*time.Second)
		require.NoError(t, client.Status(keyA)[0].Err)
	})
}

// detour is a transport that leads elsewhere when a test says so.
type detour struct {
	diamond.Transport
	to atomic.Pointer[served]
}

func (d *detour) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	return d.to.Load().Fetch(ctx, req)
}

func (d *detour) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	return d.to.Load().Poll(ctx, req)
}

func (d *detour) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	return d.to.Load().Report(ctx, req)
}
