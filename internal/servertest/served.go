package servertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Served is a server under test, with methods for what tests often do.
type Served struct {
	diamond.Server
	T testing.TB
}

// Serve returns a server on storage. Both are closed at the end of the test.
func Serve(t testing.TB, storage diamond.Storage, opts ...diamond.ServerOption) *Served {
	t.Helper()
	srv, err := diamond.NewServer(storage, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, storage.Close())
	})
	return &Served{Server: srv, T: t}
}

// PublishMany publishes keys n-00000, n-00001 and so on, in sets of a thousand.
func (s *Served) PublishMany(n, from, count int) {
	s.T.Helper()
	var c conf.ChangeSet
	for i := range count {
		c.Drafts = append(c.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprintf("%d-%05d", n, from+i)), Content: fmt.Sprint(time.Now().UnixNano())})
		if len(c.Drafts) == conf.MaxChanges || i == count-1 {
			_, err := s.CommitSet(c)
			require.NoError(s.T, err)
			c = conf.ChangeSet{}
		}
	}
}

// Busily publishes 5,000 keys again and again, a thousand after each pause, until stop is
// called.
func (s *Served) Busily(pause time.Duration) (stop func()) {
	ended := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-time.After(pause):
				s.PublishMany(0, i%5*1000, 1000)
			}
		}
	})
	return func() { close(ended); writing.Wait() }
}

// Listed returns the keys of all entries that match req. It reads them page by page.
func (s *Served) Listed(req conf.ListRequest) (keys []string) {
	s.T.Helper()
	for more := true; more; {
		resp, err := s.List(context.Background(), &req)
		require.NoError(s.T, err)
		for i := range resp.Entries {
			req.After = resp.Entries[i].Key
			keys = append(keys, req.After.String())
		}
		if more = resp.More; more {
			require.NotEmpty(s.T, resp.Entries, "a page that is not the last has something to go on from")
		}
	}
	return keys
}

// Watching starts n watches of data ids that begin with prefix-0, prefix-1 and so on, and
// returns once all are parked. When all have ended, it sends the number of changes that
// they returned.
func (s *Served) Watching(n int, prefix string, after conf.Position, wait time.Duration) <-chan int {
	var all sync.WaitGroup
	got := make([]int, n)
	for i := range n {
		all.Go(func() {
			resp, err := s.Changes(context.Background(), &conf.ChangesRequest{After: after, Prefix: fmt.Sprintf("%s-%d", prefix, i), Wait: wait})
			if assert.NoError(s.T, err) {
				got[i] = len(resp.Changes)
			}
		})
	}
	synctest.Wait()
	sum := make(chan int, 1)
	go func() {
		all.Wait()
		total := 0
		for _, n := range got {
			total += n
		}
		sum <- total
	}()
	return sum
}

// CommitSet commits set, and returns the position after it.
func (s *Served) CommitSet(set conf.ChangeSet) (conf.Position, error) {
	resp, err := s.Commit(context.Background(), &conf.CommitRequest{Set: set})
	if err != nil {
		return conf.Position{}, err
	}
	return resp.Position, nil
}

// Publish publishes a value in the default group.
func (s *Served) Publish(dataID, content string) conf.Position {
	s.T.Helper()
	at, err := s.CommitSet(conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", dataID), Content: content, AllowEmpty: true}}})
	require.NoError(s.T, err)
	return at
}

// Remove deletes a key of the default group.
func (s *Served) Remove(dataID string) conf.Position {
	s.T.Helper()
	at, err := s.CommitSet(conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("", dataID)}}})
	require.NoError(s.T, err)
	return at
}

// MustFetch returns the state of a key of the default group.
func (s *Served) MustFetch(dataID string) *conf.FetchResponse {
	s.T.Helper()
	resp, err := s.Fetch(context.Background(), &conf.FetchRequest{Key: conf.NewKey("", dataID)})
	require.NoError(s.T, err)
	return resp
}

// Start returns a server on storage. The server is closed at the end of the test, but
// storage is not.
func Start(t testing.TB, storage diamond.Storage, opts ...diamond.ServerOption) *Served {
	t.Helper()
	srv, err := diamond.NewServer(storage, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return &Served{Server: srv, T: t}
}

// PollFor returns a poll for changes of some data ids since p.
func PollFor(p conf.Position, wait time.Duration, dataIDs ...string) *conf.PollRequest {
	keys := make([]conf.Key, len(dataIDs))
	for i, id := range dataIDs {
		keys[i] = conf.NewKey("", id)
	}
	return &conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys, Position: p, Wait: wait}
}

// MustPoll returns the answer to a poll.
func (s *Served) MustPoll(req *conf.PollRequest) *conf.PollResponse {
	s.T.Helper()
	resp, err := s.Poll(context.Background(), req)
	require.NoError(s.T, err)
	return resp
}

// Parked polls in the background, and returns once the poll is parked.
func (s *Served) Parked(req *conf.PollRequest) <-chan *conf.PollResponse {
	s.T.Helper()
	answer := make(chan *conf.PollResponse, 1)
	go func() {
		resp, err := s.Poll(context.Background(), req)
		assert.NoError(s.T, err)
		answer <- resp
	}()
	synctest.Wait()
	return answer
}

// WithoutTail returns a copy of storage that ends at revision. It stands for a storage that
// has lost its tail in a failover or a restore.
func WithoutTail(t testing.TB, storage diamond.Storage, revision int64) *memstore.Store {
	t.Helper()
	batch, err := storage.Changes(context.Background(), conf.Position{}, 1<<40)
	require.NoError(t, err)
	at := batch.Head
	at.Revision, at.Chain, at.Epoch = 0, conf.Chain{}, conf.Epoch{}
	n := 0
	for n < len(batch.Changes) && batch.Changes[n].Revision <= revision {
		n++
	}
	at, err = at.Follow(batch.Changes[:n])
	require.NoError(t, err)
	at.Epoch = batch.Head.Epoch
	replica := memstore.New()
	require.NoError(t, replica.Apply(context.Background(), batch.Changes[:n], at))
	return replica
}
