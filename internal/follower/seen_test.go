package follower_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// seeing records the position that the last request names.
type seeing struct {
	*clienttest.Centre
	seen   conf.Position // of the last request but a commit
	commit conf.Position // of the last commit
	behind atomic.Int32  // commits to answer with ErrBehind
}

func (s *seeing) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	s.commit = req.Seen
	if s.behind.Add(-1) >= 0 {
		return nil, &conf.Error{Err: conf.ErrBehind, Remote: true}
	}
	return s.Centre.Commit(ctx, req)
}

func (s *seeing) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	s.seen = req.Seen
	return s.Centre.List(ctx, req)
}

func (s *seeing) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	s.seen = req.Seen
	return s.Centre.History(ctx, req)
}

func (s *seeing) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	s.seen = req.After
	return s.Centre.Fetch(ctx, req)
}

// A client names the newest position that it has seen in all that it asks, so that no
// server decides by older rules. One that is behind has done nothing: the client asks again.
func TestSeen_IsTheNewestPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &seeing{Centre: clienttest.NewCentre()}
		s.Set(clienttest.KeyA, "1")
		client := clienttest.NewClient(t, s)
		asks := map[string]func(given conf.Position){
			"commit": func(conf.Position) {
				_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyB, Content: "x"})
				require.NoError(t, err)
			},
			"list": func(given conf.Position) {
				for _, err := range client.List(t.Context(), conf.ListRequest{Seen: given}) {
					require.NoError(t, err)
				}
			},
			"history": func(given conf.Position) {
				for _, err := range client.History(t.Context(), conf.HistoryRequest{Key: clienttest.KeyA, Seen: given}) {
					require.NoError(t, err)
				}
			},
			"read": func(conf.Position) { _, _ = client.Read(t.Context(), clienttest.KeyA, 1) },
		}
		for name, ask := range asks {
			s.Set(clienttest.KeyA, "of "+name)
			newest, err := client.Head(t.Context())
			require.NoError(t, err)
			ask(conf.Position{})
			if name == "commit" {
				assert.Equal(t, newest, s.commit)
			} else {
				assert.Equal(t, newest, s.seen, name)
			}
			if name == "list" || name == "history" {
				given := s.Position()
				given.Revision += 7
				ask(given)
				assert.Equal(t, given, s.seen, "%s: the caller has seen more", name)
				given.Revision = 1
				ask(given)
				assert.Equal(t, newest, s.seen, "%s: the client has seen more", name)
			}
		}
		newest, err := client.Head(t.Context())
		require.NoError(t, err)
		s.behind.Store(2)
		commits := len(s.Commits)
		_, err = client.Delete(t.Context(), conf.Delete{Key: clienttest.KeyA})
		require.NoError(t, err)
		assert.Len(t, s.Commits, commits+1)
		assert.Equal(t, newest, s.commit)
	})
}
