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
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// The storage was restored while no server ran, and nobody began a new epoch:
// the servers have an older value than the client. It does not go back, but it
// does not say either that a server has confirmed what it keeps.
func TestS11_AValueThatServersContradictIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := memstore.New()
		before := servertest.Serve(t, first)
		for i := range 10 {
			before.Publish("a.json", fmt.Sprint("old ", i))
		}
		way := &detour{}
		way.to.Store(before)
		client := clienttest.NewClient(t, way)
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		assert.Equal(t, "old 9", clienttest.Get(t, client, clienttest.KeyA).Content)
		clienttest.Settle()

		replica := &servertest.Clocked{Store: servertest.WithoutTail(t, first, 5)}
		replica.Reached, _ = replica.At(t.Context())
		after := servertest.Serve(t, replica)
		way.to.Store(after)
		require.NoError(t, before.Close())
		for i := range 7 {
			after.Publish("other", fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		lost := time.Now()
		time.Sleep(10 * time.Minute)
		config := clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, "old 9", config.Content, "no client goes back within an epoch")
		assert.Less(t, config.Confirmed, lost)
		require.ErrorIs(t, client.Status(clienttest.KeyA)[0].Err, conf.ErrEpoch)

		after.Publish("a.json", "new")
		clienttest.Settle()
		config = clienttest.Get(t, client, clienttest.KeyA)
		assert.Equal(t, "new", config.Content)
		time.Sleep(time.Minute)
		assert.Less(t, time.Since(clienttest.Get(t, client, clienttest.KeyA).Confirmed), 30*time.Second)
		require.NoError(t, client.Status(clienttest.KeyA)[0].Err)
	})
}

// detour is a transport that leads elsewhere when a test says so.
type detour struct {
	diamond.Transport
	to atomic.Pointer[servertest.Served]
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
