package inproc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// The database is slow, then its lines are, then it does not answer at all:
// reads go on, publishes fail with what says so, and afterwards all have
// everything, each change once.
func TestS8_SlowOrHungDatabase(t *testing.T) {
	w := NewWorld(t, 1)
	key := traffic.Key(0)
	last := w.publish(t, 0, key, "0")
	l := w.follow(t, 0, key)[0]
	eventually(t, func() bool { return l.Last() == "0" }, "the first value")
	for _, n := range w.Nodes {
		eventually(t, func() bool { return n.Server().Status().Position == last }, "all have it")
	}
	var asked []diamond.ChangeSet
	for i, now := range []proxy.Conditions{
		{Latency: 5 * time.Second}, {Bandwidth: 10 << 10, Latency: time.Second}, {StallUp: true, StallDown: true},
	} {
		for _, link := range w.Database.Links {
			link.Set(now)
		}
		publishing, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		published := make(chan error, 1)
		set := diamond.ChangeSet{
			RequestID: fmt.Sprint("slow-", i), Drafts: []diamond.Draft{{Key: key, Content: fmt.Sprint("slow ", i)}},
		}
		asked = append(asked, set)
		go func() {
			_, err := w.Nodes[0].Server().Commit(publishing, &conf.CommitRequest{Set: set})
			published <- err
		}()
		reads := 0
		for publishing.Err() == nil || reads < 100 {
			for _, n := range w.Nodes {
				resp, err := n.Server().Fetch(t.Context(), &conf.FetchRequest{Key: key})
				require.NoError(t, err, "reads go on")
				require.True(t, resp.Found)
				reads++
			}
		}
		cancel()
		if err := <-published; err != nil {
			assert.True(t, errors.Is(err, diamond.ErrUnknownOutcome) || errors.Is(err, diamond.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded), "%v", err)
		}
	}
	require.NoError(t, w.Restore())
	for _, set := range asked { // else one of unknown outcome could come after the last value
		w.commit(t, 1, set)
	}
	last = w.publish(t, 1, key, "last")
	eventually(t, func() bool { return l.Last() == "last" }, "the last value")
	for i, n := range w.Nodes {
		eventually(t, func() bool { return n.Server().Status().Position.Compare(last) >= 0 }, "node %d catches up", i)
	}
	configs := l.Configs()
	for i := range configs {
		assert.True(t, i == 0 || configs[i].Revision > configs[i-1].Revision, "none twice, in order")
	}
}

// The database is restored from a backup while the servers run: they begin a
// new epoch, and all end at what there is now.
func TestS11_RestoredFromABackup(t *testing.T) {
	w := NewWorld(t, 2)
	key, gone := traffic.Key(0), traffic.Key(1)
	w.publish(t, 0, key, "old")
	db := mariadbtest.Connect(t, w.Database.DSN)
	exec := func(format string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), fmt.Sprintf(format, args...))
		require.NoError(t, err)
	}
	rows, err := db.QueryContext(t.Context(), "SHOW TABLES")
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	for _, table := range tables {
		exec("CREATE TABLE backup_%[1]s AS SELECT * FROM %[1]s", table)
	}

	for i := range 50 {
		w.publish(t, i%nodes, key, fmt.Sprint(i))
	}
	w.publish(t, 0, gone, "gone")
	l := w.follow(t, 0, key, gone)
	eventually(t, func() bool { return l[0].Last() == "49" && l[1].Last() == "gone" }, "the client holds what will be lost")
	before := w.Nodes[0].Server().Status().Position

	for _, link := range w.Database.Links {
		link.Set(proxy.Conditions{Refuse: true})
		link.Cut()
	}
	for _, table := range tables {
		exec("DELETE FROM %[1]s", table)
		exec("INSERT INTO %[1]s SELECT * FROM backup_%[1]s", table)
	}
	require.NoError(t, w.Nodes[2].Stop()) // one starts after the restore
	for _, link := range w.Database.Links {
		link.Set(proxy.Conditions{})
	}
	require.NoError(t, w.Nodes[2].Start())
	eventually(t, func() bool { return w.Nodes[0].Server().Status().Position.Epoch.Generation > before.Epoch.Generation }, "a new epoch")
	eventually(t, func() bool { return l[0].Last() == "old" }, "back to what there is")
	after := w.publish(t, 1, key, "new")
	assert.Greater(t, after.Revision, before.Revision)
	eventually(t, func() bool { return l[0].Last() == "new" }, "the next value")
	for i, n := range w.Nodes {
		eventually(t, func() bool { return n.Server().Status().Position == after }, "node %d", i)
	}
	fresh := w.follow(t, 0, key)
	eventually(t, func() bool { return fresh[0].Last() == "new" }, "a client with a newer snapshot")
}

// A server is cut off from the database, each way: it says that it is behind,
// or serves stale, and clients that have seen more go elsewhere.
func TestN5_ServerCutOffFromTheDatabase(t *testing.T) {
	t.Parallel() // it waits, most of the time
	ways := map[string]proxy.Conditions{"to": {StallUp: true}, "from": {StallDown: true}}
	if !campaign.On() {
		delete(ways, []string{"to", "from"}[rand.IntN(2)]) // each takes as long as a poll is parked
	}
	for name, now := range ways {
		t.Run(name, func(t *testing.T) {
			w := NewWorld(t, 1)
			key := traffic.Key(0)
			w.publish(t, 0, key, "0")
			for i, link := range w.Links[0] { // the client is at the server that will be cut off
				link.Set(proxy.Conditions{Refuse: i != 2})
			}
			l := w.follow(t, 0, key)[0]
			eventually(t, func() bool { return l.Last() == "0" }, "the first value")
			w.Heal()
			w.Database.Links[2].Set(now)
			second := w.publish(t, 0, key, "1")
			eventually(t, func() bool { return l.Last() == "1" }, "the client goes elsewhere")
			eventually(t, func() bool { return w.Nodes[2].Server().Status().Stale > 0 }, "it knows that it may be behind")
			_, err := w.Nodes[2].Server().Fetch(t.Context(), &conf.FetchRequest{Key: key, After: second})
			require.ErrorIs(t, err, diamond.ErrBehind)
			w.Database.Links[2].Set(proxy.Conditions{})
			eventually(t, func() bool { return w.Nodes[2].Server().Status().Position == second }, "it catches up")
		})
	}
}

// Servers are cut off from each other, each way: their feeds find every change
// all the same.
func TestN5_ServersCutOffFromEachOther(t *testing.T) {
	w := NewWorld(t, nodes)
	key := traffic.Key(0)
	w.publish(t, 0, key, "first")
	var listeners []*told
	for c := range nodes {
		for i, link := range w.Links[c] {
			link.Set(proxy.Conditions{Refuse: i != c})
		}
		listeners = append(listeners, w.follow(t, c, key)[0])
	}
	for i, now := range []proxy.Conditions{{StallUp: true}, {StallDown: true}, {Refuse: true}, {}} {
		for _, link := range w.Peers {
			link.Set(now)
		}
		for n := range nodes {
			content := fmt.Sprint(i, " at ", n)
			w.publish(t, n, key, content)
			for _, l := range listeners {
				eventually(t, func() bool { return l.Last() == content }, "a change without a nudge")
			}
		}
	}
	for _, l := range listeners {
		configs := l.Configs()
		for i := range configs {
			assert.True(t, i == 0 || configs[i].Revision > configs[i-1].Revision, "none twice, in order")
		}
	}
}
