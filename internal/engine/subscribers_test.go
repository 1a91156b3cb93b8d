package engine_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Several callbacks may be registered. Each is called until it is stopped or the server is
// closed, and one that hangs delays neither commits nor the others.
func TestOnCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		s, err := diamond.NewServer(store)
		require.NoError(t, err)
		srv := &servertest.Served{Server: s, T: t}
		var mu sync.Mutex
		told := map[string][]int64{}
		tell := func(name string) func(conf.Position) {
			return func(p conf.Position) {
				mu.Lock()
				defer mu.Unlock()
				told[name] = append(told[name], p.Revision)
			}
		}
		publish := func(i int) {
			srv.Publish("a", fmt.Sprint(i))
			synctest.Wait()
		}
		release := make(chan struct{})
		stopHung := s.OnCommitted(func(conf.Position) { <-release })
		stopA := s.OnCommitted(tell("a"))
		s.OnCommitted(tell("b"))
		publish(1)
		stopA()
		stopA()
		publish(2)
		var stopC func()
		stopC = s.OnCommitted(func(p conf.Position) {
			tell("c")(p)
			stopC() // from within
		})
		publish(3)
		publish(4)

		stopped := make(chan struct{})
		go func() {
			stopHung()
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Fatal("stop waits for a call under way")
		default:
		}
		close(release)
		<-stopped
		require.NoError(t, srv.Close())
		stop := s.OnCommitted(tell("late"))
		stop()
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, map[string][]int64{"a": {1}, "b": {1, 2, 3, 4}, "c": {3}}, told)
	})
}

// A callback gets the newest position of each transaction, or of several together, and
// delays nobody.
func TestOnCommitted_NeverBlocksCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []int64
		release := make(chan struct{})
		store := memstore.New()
		defer store.Close()
		s, err := diamond.NewServer(store)
		require.NoError(t, err)
		s.OnCommitted(func(p conf.Position) {
			<-release
			mu.Lock()
			defer mu.Unlock()
			told = append(told, p.Revision)
		})
		srv := &servertest.Served{Server: s, T: t}
		begun := time.Now()
		for i := range 10 {
			srv.Publish("a", fmt.Sprint(i))
			synctest.Wait() // it is told of the first before the second is there
		}
		stale := setOf("a", "x")
		stale.Drafts[0].IfRevision = conf.Revision(1)
		_, err = srv.CommitSet(stale)
		require.ErrorIs(t, err, conf.ErrConflict)
		assert.Zero(t, time.Since(begun))
		close(release)
		synctest.Wait()
		assert.Equal(t, []int64{1, 10}, told, "one at a time, the newest next; nothing of what was refused")
		require.NoError(t, srv.Close())
	})
}
