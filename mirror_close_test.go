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
