package diamond_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// Callbacks that close their Mirror at the same time do not wait for each other.
func TestMirror_ClosedByTwoCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		m := g.follow()
		var together, closed sync.WaitGroup
		together.Add(3)
		closed.Add(3)
		both := func() {
			together.Done()
			together.Wait()
			m.Close()
			closed.Done()
		}
		m.OnChange(func(diamond.Update) { both() })
		m.OnChange(func(diamond.Update) { both() })
		m.OnError(func(error) { both() })
		refused := &conf.Error{Err: diamond.ErrDenied, Remote: true}
		g.exchange.hooks(nil, func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, refused })
		g.elsewhere()
		time.Sleep(time.Minute)
		closed.Wait()
		m.Close()
	})
}

// A Follow beside a server that always has more changes returns once it has those that were
// made during the list.
func TestFollow_ThereIsAlwaysMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		lists := 0
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) {
			if lists++; lists == 2 {
				g.elsewhere()
			}
			return nil, nil
		}, func(req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			time.Sleep(10 * time.Millisecond)
			return &conf.ChangesResponse{Position: g.elsewhere(), More: true}, nil
		})
		began := time.Now()
		m, err := diamond.Follow(t.Context(), g.client, followed)
		require.NoError(t, err)
		assert.Less(t, time.Since(began), time.Second)
		m.Close()
	})
}

// A Mirror ends with its client at once, whatever it waits for.
func TestMirror_EndsWithItsClient(t *testing.T) {
	for _, refusal := range []error{diamond.ErrDenied, diamond.ErrTooLarge, diamond.ErrCompacted} {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t)
			g.publish("a", "1")
			client, err := diamond.NewClient(g.exchange)
			require.NoError(t, err)
			m, err := diamond.Follow(t.Context(), client, followed)
			require.NoError(t, err)
			proceed := make(chan struct{})
			calls := 0
			m.OnChange(func(diamond.Update) { calls++; <-proceed })
			clienttest.Settle()
			g.publish("a", "2")
			refuse := &conf.Error{Err: refusal, Remote: true}
			g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) { return nil, refuse },
				func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, refuse })
			clienttest.Settle()
			time.Sleep(5 * time.Minute)
			require.ErrorIs(t, m.Err(), refusal)
			require.NoError(t, client.Close())
			synctest.Wait()
			require.ErrorIs(t, m.Err(), diamond.ErrClosed)
			close(proceed)
			clienttest.Settle()
			assert.Equal(t, 1, calls, "none begins for the change that waited")
			m.Close()
		})
	}
}

// Answers that are not what was asked for are none: the last state stays.
func TestFollow_AnswersThatAreNotWhatWasAskedFor(t *testing.T) {
	good := conf.Entry{Key: inGroup("k"), Revision: 1, Content: "1", MD5: conf.MD5Hex("1"), Size: 1}
	for name, spoil := range map[string]func(*conf.Entry){
		"another group":     func(e *conf.Entry) { e.Key = diamond.NewKey(others, "k") },
		"another namespace": func(e *conf.Entry) { e.Key.Namespace = "other" },
		"content missing":   func(e *conf.Entry) { e.Content = "" },
		"content cut":       func(e *conf.Entry) { e.Size = 2 },
		"no revision":       func(e *conf.Entry) { e.Revision = 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t)
			at := g.publish("k", "1")
			m := g.follow()
			bad := good
			spoil(&bad)
			list := func(req *conf.ListRequest) (*conf.ListResponse, error) {
				if !req.Contents { // Head
					return nil, nil
				}
				return &conf.ListResponse{Position: at, Entries: []conf.Entry{bad}}, nil
			}
			g.exchange.hooks(list, nil)
			_, err := diamond.Follow(t.Context(), g.client, followed)
			require.ErrorIs(t, err, diamond.ErrUnavailable, name)
			later := at
			later.Revision++
			g.exchange.hooks(nil, func(*conf.ChangesRequest) (*conf.ChangesResponse, error) {
				ch := conf.Change{
					Revision: bad.Revision, Count: 1, Key: bad.Key, Op: conf.OpPublish, Content: bad.Content, Size: bad.Size, MD5: bad.MD5,
				}
				if ch.Revision > 0 {
					ch.Revision = later.Revision
				}
				return &conf.ChangesResponse{Position: later, Changes: []conf.Change{ch}}, nil
			})
			time.Sleep(time.Minute)
			require.ErrorIs(t, m.Err(), diamond.ErrUnavailable, name)
			assert.Equal(t, map[string]string{"k": "1"}, loaded(m), name)
			_, now := m.Load()
			assert.Equal(t, at, now, name)
			m.Close()
		})
	}
}
