package diamond_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Each request may go to a server that is behind the one before, pages have few entries,
// and keys are published and deleted between them; sometimes a new epoch begins there, or
// history is compacted.
func TestFollow_SmallPagesOfTwoServers(t *testing.T) {
	for seed := range uint64(campaign.Scale(t, 40, 1000)) {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, memstore.WithRetention(storage.Retention{Age: time.Second, Versions: 1, Changes: 4}))
			w := newWorld(g, seed)
			w.servers = [2]*servertest.Served{g.server, servertest.Start(t, g.store, diamond.WithFeedInterval(3*time.Second))}
			busy := 0 // requests during which there are changes
			turn := func() {
				pause := time.Duration(0)
				w.act(func() {
					w.exchange.to(w.servers[w.random.IntN(2)])
					if busy--; busy < 0 {
						return
					}
					switch w.random.IntN(12) {
					case 0, 1, 2, 3:
						w.commit()
					case 4:
						pause = time.Duration(w.random.IntN(4000)) * time.Millisecond
					case 5:
						_, err := w.store.Fork(t.Context(), diamond.Position{})
						assert.NoError(t, err)
					case 6:
						assert.NoError(t, w.store.Prune(t.Context()))
					}
				})
				time.Sleep(pause) // fake time: in the bubble of its test
			}
			w.exchange.hooks(func(req *conf.ListRequest) (*conf.ListResponse, error) {
				if turn(); req.Limit > 1 {
					req.Limit = 2
				}
				return nil, nil
			}, func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { turn(); return nil, nil })
			for range w.random.IntN(6) {
				w.commit()
			}
			busy = 12
			m, err := diamond.Follow(t.Context(), g.client, followed)
			if err != nil {
				require.True(t, errors.Is(err, diamond.ErrCompacted) || errors.Is(err, diamond.ErrEpoch), "%d: %v", seed, err)
				return
			}
			defer m.Close()
			u, _ := observe(t, m)
			same := func() {
				entries, at := m.Load()
				if !assert.Equal(t, w.history.at(at.Revision), contents(entries), "seed %d at %d", seed, at.Revision) {
					t.FailNow()
				}
			}
			same()
			for range 20 {
				pause := time.Duration(0)
				w.act(func() {
					busy = w.random.IntN(12)
					w.commit()
					pause = time.Duration(w.random.IntN(5000)) * time.Millisecond
					if w.random.IntN(4) == 0 {
						_, err := w.store.Fork(t.Context(), diamond.Position{})
						assert.NoError(t, err)
					}
				})
				time.Sleep(pause) // fake time: in the bubble of its test
				same()
			}
			w.act(func() { busy = 0 })
			time.Sleep(10 * time.Minute) // fake time: in the bubble of its test
			require.NoError(t, m.Err(), fmt.Sprint(seed))
			same()
			head, err := g.client.Head(t.Context())
			require.NoError(t, err)
			entries, at := m.Load()
			require.Equal(t, head, at)
			u.mu.Lock()
			defer u.mu.Unlock()
			require.Equal(t, contents(entries), contents(u.state))
		})
	}
}
