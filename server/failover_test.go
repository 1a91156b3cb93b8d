package server_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// While one of two nodes shuts down, no read and no poll fails, and no commit
// that can be sent again.
func TestL1_PlannedWorkIsInvisible(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	a, stopA := onNetwork(t, store)
	b, stopB := onNetwork(t, store)
	defer stopB()

	key := conf.NewKey("", "a")
	var reads, polls, commits atomic.Int64
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var balancers []*transport.Balancer
	for range 8 { // each stays with a node of its own choice
		balancer := transport.NewBalancer(transport.Static(a, b), httptransport.Dialer())
		balancers = append(balancers, balancer)
	}
	first, err := balancers[0].Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: "x"}}}})
	require.NoError(t, err)

	loop := func(count *atomic.Int64, call func() error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := call(); ctx.Err() == nil && !assert.NoError(t, err) {
					return
				}
				count.Add(1)
			}
		})
	}
	for i, balancer := range balancers {
		loop(&reads, func() error {
			res, err := balancer.Fetch(ctx, &conf.FetchRequest{Key: key, After: first.Position})
			if err == nil {
				assert.True(t, res.Found)
			}
			return err
		})
		loop(&polls, func() error {
			head, err := balancer.Fetch(ctx, &conf.FetchRequest{Key: key, After: first.Position})
			if err != nil {
				return err
			}
			_, err = balancer.Poll(ctx, &conf.PollRequest{
				Set: conf.HashKeys([]conf.Key{key}), Keys: []conf.Key{key}, Position: head.Position, Wait: 300 * time.Millisecond,
			})
			return err
		})
		n := new(atomic.Int64)
		other := conf.NewKey("other", "k")
		loop(&commits, func() error {
			_, err := balancer.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{
				Drafts:    []conf.Draft{{Key: other, Content: "x"}},
				RequestID: fmt.Sprintf("r-%d-%d", i, n.Add(1)),
			}})
			return err
		})
	}
	enough := func() {
		r, p, c := reads.Load(), polls.Load(), commits.Load()
		require.Eventually(t, func() bool {
			return reads.Load() > r+200 && polls.Load() > p+16 && commits.Load() > c+50
		}, time.Minute, time.Millisecond)
	}
	enough()
	stopA()
	enough()
	stop()
	wg.Wait()
	for _, balancer := range balancers {
		balancer.Close()
	}
	t.Logf("%d reads, %d polls, %d commits", reads.Load(), polls.Load(), commits.Load())
}

// onNetwork runs a node on store and a real port.
func onNetwork(t *testing.T, store diamond.Storage) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.NewNode(srv, server.WithListener(ln)).Run(ctx) }()
	return ln.Addr().String(), sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
}
