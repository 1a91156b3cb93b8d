package mysqlstore

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// S8: reads of callers whose connections go silent, and stay open, take no
// connection that commits and the feed need, however many they are. It is a
// server that is asked, with all its defaults.
func TestS8_SilentReadsHoldNeitherFeedNorCommits(t *testing.T) {
	p, dsn := through(t, mariadbtest.Database(t))
	s := open(t, dsn)
	srv, err := diamond.NewServer(s)
	require.NoError(t, err)
	first, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: put("a", "0")})
	require.NoError(t, err)
	for i := range 2 {
		_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: put("a", fmt.Sprint(i+1))})
		require.NoError(t, err)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	taken, held := make(chan struct{}), 0 // connections, by reads
	p.at(func(sent []byte) fate {         // called for one packet at a time
		for _, read := range []string{"ORDER BY revision DESC", "c.data_id = ", "ORDER BY e.namespace"} {
			if bytes.Contains(sent, []byte(read)) {
				if held++; held == maxOpen-keptConns {
					close(taken)
				}
				return swallows
			}
		}
		return pass
	})
	var callers sync.WaitGroup
	for range 3 * maxOpen {
		callers.Go(func() { _, _ = srv.List(ctx, &conf.ListRequest{}) })
		callers.Go(func() { _, _ = srv.History(ctx, &conf.HistoryRequest{Key: key("a")}) })
		callers.Go(func() { _, _ = srv.Fetch(ctx, &conf.FetchRequest{Key: key("a"), Revision: 1}) })
		callers.Go(func() { _, _ = srv.Changes(ctx, &conf.ChangesRequest{After: first.Position}) })
	}
	<-taken
	s.rest() // the next commit has to get a connection anew
	for i := range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := srv.Commit(ctx, &conf.CommitRequest{Set: put("b", fmt.Sprint(i))})
		cancel()
		require.NoError(t, err)
	}
	other := open(t, dsn)
	at := commit(t, other, put("c", "of another server's"))
	require.Eventually(t, func() bool { return srv.Status().Position == at }, 15*time.Second, 10*time.Millisecond, "the feed goes on")
	leave()
	callers.Wait()
	require.NoError(t, srv.Close())
}

// A pool of a few connections leaves room for one read at least.
func TestReadersOfSmallPools(t *testing.T) {
	db := mariadbtest.Connect(t, mariadbtest.Database(t))
	require.Nil(t, readersOf(db), "without a bound of the pool there is none")
	for most, want := range map[int]int{1: 1, 3: 1, 4: 1, 5: 2, maxOpen: maxOpen - keptConns} {
		db.SetMaxOpenConns(most)
		require.Equal(t, want, cap(readersOf(db)), most)
	}
}
