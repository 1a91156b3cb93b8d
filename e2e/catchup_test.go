package e2e

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
)

// A client was away for more changes than are kept: it is brought to the
// present state, told of what has changed and of nothing else, and of deletions
// as such; a watch from back then is told that the history is gone.
func TestS20_C7_ClientBehindCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := boltstore.Open(t.TempDir(), boltstore.WithRetention(storage.Retention{Changes: 1000, Versions: 2, Age: time.Minute}))
		require.NoError(t, err)
		defer store.Close()
		n, l := runNode(t, store), newLink()
		l.to(n.listener)
		first := map[string]string{"kept": "1", "changed": "1", "gone": "1", "again": "1", "aba": "A"}
		var was diamond.Position
		for id, content := range first {
			was = n.publish(id, content)
		}
		client := newClient(t, l.transport(t))
		told := make(map[string]*recorder)
		for id := range first {
			told[id] = follow(t, client, id)
		}
		time.Sleep(time.Minute)

		l.to(nil)
		l.cut()
		n.remove("gone")
		n.remove("again")
		again := n.publish("again", "1")
		n.publish("aba", "B")
		aba := n.publish("aba", "A")
		noise := campaign.Scale(t, 1500, 5000)
		for i := range noise {
			if i == noise/2 {
				time.Sleep(2 * time.Minute) // so that the first half ages
			}
			n.publish(fmt.Sprintf("noise-%d", i%7), fmt.Sprint(i))
		}
		n.publish("changed", "2")
		time.Sleep(2 * time.Minute)
		n.publish("noise-0", "the last")
		require.NoError(t, store.Prune(t.Context()))
		_, err = store.Changes(t.Context(), was, 1)
		require.ErrorIs(t, err, diamond.ErrCompacted, "else this tests nothing")
		// A server that starts now has never seen what went.
		n.end()
		n = runNode(t, store)
		l.to(n.listener)

		time.Sleep(5 * time.Second)
		want := map[string][]string{
			"kept": {"1"}, "changed": {"1", "2"}, "gone": {"1", "-"}, "again": {"1"}, "aba": {"A"}, // an equal value is none to a listener
		}
		for id, contents := range want {
			assert.Equal(t, contents, told[id].contents(), id)
		}
		for id, revision := range map[string]int64{"again": again.Revision, "aba": aba.Revision} {
			config, err := client.Get(t.Context(), key(id))
			require.NoError(t, err)
			assert.Equal(t, revision, config.Revision, "but its revision counts")
		}
		_, err = client.Get(t.Context(), key("gone"))
		require.ErrorIs(t, err, diamond.ErrNotFound)
		_, err = client.Publish(t.Context(), diamond.Draft{Key: key("aba"), Content: "C", IfRevision: diamond.Revision(told["aba"].all()[0].Revision)})
		require.ErrorIs(t, err, diamond.ErrConflict, "by revision, not by content")

		var ended error
		for _, err := range client.Watch(t.Context(), diamond.ChangesRequest{After: was}) {
			ended = err
		}
		require.ErrorIs(t, ended, diamond.ErrCompacted, "never silence")
		n.end()
	})
}

// withheld is a storage that a server cannot reach while it is down.
type withheld struct {
	diamond.Storage
	down atomic.Bool
}

func (w *withheld) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (conf.Batch, error) {
	if w.down.Load() {
		return conf.Batch{}, conf.Errorf(diamond.ErrUnavailable, "cut off")
	}
	return w.Storage.Changes(ctx, after, maxBytes)
}

func (w *withheld) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	if w.down.Load() {
		return conf.Page{}, conf.Errorf(diamond.ErrUnavailable, "cut off")
	}
	return w.Storage.Scan(ctx, req)
}

// A client that has to go to a server that is behind does not go back with it.
func TestC8_SwitchToALaggingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		behind := &withheld{Storage: store}
		a, b := runNode(t, store), runNode(t, behind)
		toA, toB := newLink(), newLink()
		toA.to(a.listener)
		toB.to(b.listener)
		links := map[string]*link{"a:1210": toA, "b:1210": toB}
		both := func(v string) diamond.Position {
			return a.commit(diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key("a"), Content: v}, {Key: key("b"), Content: v}}})
		}
		both("1")
		time.Sleep(2 * time.Second) // b has it
		behind.down.Store(true)
		both("2")

		toB.to(nil) // the client starts with a
		over := transport.NewBalancer(transport.Static("a:1210", "b:1210"), func(addr string) (diamond.Transport, error) {
			return links[addr].transport(t), nil
		})
		t.Cleanup(over.Close)
		client := newClient(t, over)
		r := follow(t, client, "a")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"2"}, r.contents())

		toA.to(nil)
		toA.cut()
		toB.to(b.listener)
		got, err := client.Get(t.Context(), key("b"))
		require.ErrorIs(t, err, diamond.ErrUnavailable, "rather nothing than %q", got.Content)
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"2"}, r.contents())
		got, err = client.Get(t.Context(), key("a"))
		require.NoError(t, err)
		assert.Equal(t, "2", got.Content)

		behind.down.Store(false)
		time.Sleep(5 * time.Second)
		got, err = client.Get(t.Context(), key("b"))
		require.NoError(t, err)
		assert.Equal(t, "2", got.Content)
		both("3")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"2", "3"}, r.contents())
	})
}

// snapshots is a directory whose overrides nobody watches: the system's file
// notifications would keep the time of a bubble from passing.
type snapshots struct{ *localfile.Dir }

func (snapshots) WatchOverrides(ctx context.Context, _ func(diamond.Key)) error {
	<-ctx.Done()
	return nil
}

// A server that is up but has not loaded anything is not one without entries.
func TestC10_INV9_ColdServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		cold := &withheld{Storage: store}
		n, l := runNode(t, store), newLink()
		l.to(n.listener)
		n.publish("a", "1")
		dir, err := localfile.Open(t.TempDir())
		require.NoError(t, err)
		defer dir.Close()
		files := snapshots{dir}
		before, err := diamond.NewClient(l.transport(t), diamond.WithLocalFiles(files))
		require.NoError(t, err)
		follow(t, before, "a")
		running := newClient(t, l.transport(t))
		r := follow(t, running, "a")
		time.Sleep(5 * time.Second)
		require.NoError(t, before.Close())
		n.end()

		cold.down.Store(true)
		n = runNode(t, cold)
		l.to(n.listener)
		require.False(t, n.srv.Status().Ready)
		bare := newClient(t, l.transport(t))
		_, err = bare.Get(t.Context(), key("a"))
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		require.NotErrorIs(t, err, diamond.ErrNotFound)
		kept := newClient(t, l.transport(t), diamond.WithLocalFiles(files))
		begun := time.Now()
		config, err := kept.Get(t.Context(), key("a"))
		require.NoError(t, err)
		assert.Equal(t, diamond.SourceSnapshot, config.Source)
		assert.LessOrEqual(t, time.Since(begun), time.Second)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1"}, r.contents(), "known, and not taken away")

		cold.down.Store(false)
		time.Sleep(31 * time.Second)
		config, err = bare.Get(t.Context(), key("a"))
		require.NoError(t, err)
		assert.Equal(t, "1", config.Content)
		n.publish("a", "2")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"1", "2"}, r.contents())
		config, err = kept.Get(t.Context(), key("a"))
		require.NoError(t, err)
		assert.Equal(t, "2", config.Content)
		n.end()
	})
}
