package sim

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
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/fault"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// The server that a client is left with is behind: the client never goes back
// to what that server has, and has the newer value once the server does.
func TestC8_SwitchToALaggingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.publish(t, 0, "a", "1")
		time.Sleep(2 * time.Second)
		w.Gates[2].Set(cluster.Storms{Hung: true}) // it learns of nothing any more
		seen := w.publish(t, 0, "a", "2")
		time.Sleep(2 * time.Second)
		w.only(0, 0)
		client := w.client(t, 0)
		a := follow(t, client, "a")
		time.Sleep(time.Second)
		require.Equal(t, "2", a.Last())

		w.only(0, 2)
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			config, err := client.Get(t.Context(), key("a"))
			require.NoError(t, err)
			require.Equal(t, "2", config.Content)
			_, err = w.Transport(0).Fetch(t.Context(), &conf.FetchRequest{Key: key("a"), After: seen})
			require.True(t, errors.Is(err, diamond.ErrBehind) || errors.Is(err, diamond.ErrUnavailable), "%v", err)
		}
		w.publish(t, 1, "a", "3")
		w.Gates[2].Set(cluster.Storms{})
		time.Sleep(settle)
		require.Equal(t, "3", a.Last())
		for i, config := range a.Configs() {
			require.True(t, i == 0 || config.Revision > a.Configs()[i-1].Revision, "INV-4")
		}
	})
}

// A server that has not loaded anything yet says so. It does not say that
// nothing exists.
func TestC10_ColdServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.publish(t, 1, "a", "1")
		require.NoError(t, w.Nodes[0].Stop())
		w.Gates[0].Set(cluster.Storms{Down: true})
		require.NoError(t, w.Nodes[0].Start())
		for c := range 2 {
			w.only(c, 0) // which keeps no copy
		}
		_, err := w.Nodes[0].Server().Fetch(t.Context(), &conf.FetchRequest{Key: key("a")})
		require.ErrorIs(t, err, diamond.ErrUnavailable, "INV-9")
		_, err = w.Direct(0).Fetch(t.Context(), &conf.FetchRequest{Key: key("a")})
		require.ErrorIs(t, err, diamond.ErrUnavailable, "INV-9")
		client := w.client(t, 0)
		a := follow(t, client, "a")
		_, err = client.Get(t.Context(), key("a"))
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		require.NotErrorIs(t, err, diamond.ErrNotFound, "INV-9")

		// One that has a snapshot goes on with that.
		files := cluster.NewFiles(1)
		require.NoError(t, files.Save(conf.SlotFetched, conf.Snapshot{
			Entry: diamond.Entry{Key: key("a"), Content: "0", MD5: conf.MD5Hex("0"), Size: 1, Revision: 1, View: 1},
		}))
		warm := w.client(t, 1, diamond.WithLocalFiles(files))
		config, err := warm.Get(t.Context(), key("a"))
		require.NoError(t, err)
		assert.Equal(t, diamond.SourceSnapshot, config.Source)

		time.Sleep(time.Minute)
		assert.Empty(t, a.Configs())
		w.Gates[0].Set(cluster.Storms{})
		time.Sleep(settle)
		assert.Equal(t, "1", a.Last())
	})
}

// N16: any links are cut one by one, those of servers to their storage too, and
// healed in another order.
func TestN16_SwizzleClog(t *testing.T) {
	for _, seed := range seeds(t, 2, 500) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			plan := DefaultPlan(seed)
			plan.Faults = []func(*World) []fault.Fault{
				func(w *World) []fault.Fault { return []fault.Fault{w.swizzle(5 * time.Second)} },
			}
			Run(t, plan)
		})
	}
}

// One key is published again and again: all end at the last value, nobody is
// told more often than their connection allows, and another key is as quick as
// ever.
func TestN17_PublishStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = 10 * time.Millisecond
		subscribers := campaign.Scale(t, 40, 1000)
		w := newWorld(t, subscribers)
		for node := range w.Nodes {
			w.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{Latency: latency}) })
		}
		w.publish(t, 0, "other", "0")
		var hot, other []*told
		for c := range subscribers {
			client := w.client(t, c)
			hot = append(hot, follow(t, client, "hot"))
			other = append(other, follow(t, client, "other"))
		}
		time.Sleep(5 * time.Second)
		// slowest returns how long a value of the other key takes to the last client.
		slowest := func(content string) (worst time.Duration) {
			began := time.Now()
			w.publish(t, 1, "other", content)
			time.Sleep(2 * time.Second)
			for _, l := range other {
				require.Equal(t, content, l.Last())
				worst = max(worst, l.LastAt().Sub(began))
			}
			return worst
		}
		calm := slowest("1")

		const rate = 500
		storm := time.Duration(campaign.Scale(t, 6, 30)) * time.Second
		last := fmt.Sprint(int(storm/time.Second)*rate - 1)
		published := make(chan struct{})
		go func() {
			defer close(published)
			for i := range int(storm/time.Second) * rate {
				w.publish(t, 0, "hot", fmt.Sprint(i))
				time.Sleep(time.Second/rate - time.Millisecond) // the storage takes about the rest
			}
		}()
		time.Sleep(time.Second)
		during := slowest("2")
		<-published
		time.Sleep(5 * time.Second)
		for _, l := range hot {
			require.Equal(t, last, l.Last())
			// A poll and its answer take two latencies, and none begins before the last has ended.
			assert.Less(t, len(l.Configs()), int(2*storm/(2*latency)))
		}
		assert.Less(t, during, 2*(calm+500*time.Millisecond), "the interval of the feed is part of it")
	})
}

// A client is away while more changes than are kept are made, deletions and
// deletions with a new beginning among them.
func TestS20_CompactionWhileAClientIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, memstore.WithRetention(storage.Retention{Age: time.Second, Versions: 1, Changes: 1000}))
		for _, id := range []string{"gone", "again", "changed", "same"} {
			w.publish(t, 0, id, "1")
		}
		client := w.client(t, 0)
		listeners := make(map[string]*told)
		for _, id := range []string{"gone", "again", "changed", "same"} {
			listeners[id] = follow(t, client, id)
		}
		time.Sleep(3 * time.Second)
		old, err := client.Head(t.Context())
		require.NoError(t, err)

		for node := range w.Nodes {
			w.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{Refuse: true}); p.Cut() })
		}
		remove := func(id string) {
			w.commit(t, 1, diamond.ChangeSet{Deletes: []diamond.Delete{{Key: key(id)}}})
		}
		remove("gone")
		remove("again")
		for i := range 5000 {
			w.publish(t, i%3, fmt.Sprint("other-", i%100), fmt.Sprint(i))
		}
		w.publish(t, 0, "again", "2")
		w.publish(t, 0, "changed", "2")
		time.Sleep(10 * time.Second)
		w.Heal()
		time.Sleep(settle)

		assert.Equal(t, "-", listeners["gone"].Last())
		assert.Equal(t, "2", listeners["again"].Last())
		assert.Equal(t, "2", listeners["changed"].Last())
		assert.Len(t, listeners["same"].Configs(), 1, "nobody is told again of what has not changed")
		assert.Len(t, listeners["changed"].Configs(), 2)
		for _, err := range client.Watch(t.Context(), diamond.ChangesRequest{After: old}) {
			require.True(t, err == nil || errors.Is(err, diamond.ErrCompacted), "a watch is told that changes are missing, unless the server has them in memory")
			break
		}
	})
}

// All servers are killed and come back at once: each asks its storage for a
// value once, whoever asks for it, and all clients are up to date within a minute.
func TestL7_ThunderingHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 4
		clients := campaign.Scale(t, 150, 10_000)
		w := newWorld(t, clients)
		for k := range keys {
			w.publish(t, 0, traffic.Key(k).DataID, "1")
		}
		var all []*told
		for c := range clients {
			client := w.client(t, c)
			for k := range keys {
				all = append(all, follow(t, client, traffic.Key(k).DataID))
			}
		}
		time.Sleep(10 * time.Second)
		for node := range w.Nodes {
			w.To(node, func(p *proxy.Proxy) { p.Set(proxy.Conditions{Refuse: true}); p.Cut() })
			require.NoError(t, w.Nodes[node].Stop())
		}
		time.Sleep(20 * time.Second)
		before := 0
		for node := range w.Nodes {
			require.NoError(t, w.Nodes[node].Start())
			before += w.Gates[node].Reads()
		}
		for k := range keys {
			w.publish(t, 0, traffic.Key(k).DataID, "2")
		}
		w.Heal()
		time.Sleep(time.Minute)
		reads := -before
		for node := range w.Nodes {
			reads += w.Gates[node].Reads()
		}
		for _, l := range all {
			require.Equal(t, "2", l.Last())
			assert.Len(t, l.Configs(), 2)
		}
		assert.LessOrEqual(t, reads, nodes*keys, "one load a key and node")
	})
}
