package transport_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// A caller that cancels a commit gets no answer, but the server has not failed:
// it stays the one that is asked.
func TestBalance_ACancelledCommitIsNoFailureOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := map[string]*pondering{"a": {}, "b": {}}
		b := transport.NewBalancer(transport.Static("a", "b"), func(addr string) (diamond.Transport, error) { return servers[addr], nil })
		defer b.Close()
		require.NoError(t, get(b))
		stays := servers["a"]
		if stays.fetches.Load() == 0 {
			stays = servers["b"]
		}
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := b.Commit(ctx, &conf.CommitRequest{})
				done <- err
			}()
			synctest.Wait()
			cancel()
			assert.ErrorIs(t, <-done, conf.ErrUnknownOutcome)
			require.NoError(t, get(b))
		}
		assert.EqualValues(t, 4, stays.fetches.Load())
	})
}

// pondering is a server that never comes to an end of a commit.
type pondering struct {
	diamond.Transport
	fetches atomic.Int32
}

func (p *pondering) Fetch(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
	p.fetches.Add(1)
	return &conf.FetchResponse{}, nil
}

func (p *pondering) Commit(ctx context.Context, _ *conf.CommitRequest) (*conf.CommitResponse, error) {
	<-ctx.Done()
	return nil, &conf.Error{Op: "commit", Err: fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, ctx.Err())}
}
