package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Any bytes come back exactly as they were published, by every road.
func TestS17_ByteExactness(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	contents := map[string]string{
		"empty": "", "one": "x", "nul": "a\x00b", "invalid": "\xff\xfe\x80", "crlf": "a\r\nb\r\n", "bom": "\ufeffkey: 1",
		"emoji": "😀", "trailing": " \ta  \n\n", "json": `{"a":1,"b":[";&%#$@,*^~()/|\\+"]}`,
		"64k-1": strings.Repeat("x", 64<<10-1), "64k": strings.Repeat("y", 64<<10), "64k+1": strings.Repeat("z", 64<<10+1),
		"10m": strings.Repeat("0123456789abcdef", 10<<20/16),
	}
	for id, content := range contents {
		srv.Publish(strings.ReplaceAll(id, "+", "_"), content)
	}
	reread := servertest.Start(t, storageOf(t, srv)) // nothing of it is in memory
	for id, content := range contents {
		id = strings.ReplaceAll(id, "+", "_")
		for _, s := range []*servertest.Served{srv, reread} {
			got := s.MustFetch(id)
			require.True(t, got.Found, id)
			require.True(t, got.Entry.Content == content, id)
			require.Equal(t, conf.MD5Hex(content), got.Entry.MD5, id)
			polled := s.MustPoll(servertest.PollFor(conf.Position{}, 0, id))
			require.Len(t, polled.Changed, 1, id)
			if e := polled.Changed[0].Entry; e != nil {
				require.True(t, e.Content == content, id)
			} else {
				require.Greater(t, len(content), conf.InlineContent, id)
			}
		}
	}
	changes, err := srv.Changes(t.Context(), &conf.ChangesRequest{Contents: true})
	require.NoError(t, err)
	for _, c := range changes.Changes {
		require.Equal(t, c.MD5, conf.MD5Hex(c.Content))
	}
	_, err = srv.CommitSet(setOf("over", strings.Repeat("x", 10<<20+1)))
	require.ErrorIs(t, err, conf.ErrTooLarge)
	assert.False(t, srv.MustFetch("over").Found)
}

// storageOf returns a copy of all that srv has published.
func storageOf(t *testing.T, srv *servertest.Served) diamond.Storage {
	t.Helper()
	fresh := memstore.New()
	t.Cleanup(func() { require.NoError(t, fresh.Close()) })
	var at conf.Position
	for more := true; more; {
		resp, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: at, Contents: true})
		require.NoError(t, err)
		to := resp.Position
		require.NoError(t, fresh.Apply(t.Context(), resp.Changes, to))
		at, more = to, resp.More
	}
	return fresh
}

// Keys that a careless comparison would merge are distinct, or are refused.
func TestS18_KeyIdentity(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	good := []string{"a", "A", "a_", "a-", "a.", "a:", "aa"}
	for i, id := range good {
		srv.Publish(id, fmt.Sprint(i))
	}
	for _, id := range []string{"a ", "á", "ａ", "a%", " a", "a\x00", "a/"} {
		_, err := srv.CommitSet(setOf(id, "x"))
		require.ErrorIs(t, err, conf.ErrInvalid, "%q", id)
		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.Key{DataID: id}})
		require.ErrorIs(t, err, conf.ErrInvalid, "%q", id)
	}
	for i, id := range good {
		assert.Equal(t, fmt.Sprint(i), srv.MustFetch(id).Entry.Content)
	}
	assert.Equal(t, len(good), srv.Status().Keys)
}

// A batch is one revision, in one answer.
func TestS19_BatchAtomicity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("key-000", "0")
		var ids []string
		var set conf.ChangeSet
		for i := range 500 {
			ids = append(ids, fmt.Sprintf("key-%03d", i))
			set.Drafts = append(set.Drafts, conf.Draft{Key: conf.NewKey("", ids[i]), Content: "1"})
		}
		answer := srv.Parked(servertest.PollFor(at, time.Minute, ids...))
		_, err := srv.CommitSet(set)
		require.NoError(t, err)
		assert.Len(t, (<-answer).Changed, 500)
		changes, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: at})
		require.NoError(t, err)
		assert.Len(t, changes.Changes, 500)
		assert.EqualValues(t, 2, changes.Position.Revision)
	})
}

func TestListPages(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	big := strings.Repeat("x", 400<<10)
	for i := range 5 {
		srv.Publish(fmt.Sprintf("big-%d", i), big)
	}
	for i := range 150 {
		srv.Publish(fmt.Sprintf("small-%03d", i), "1")
	}
	_, err := srv.CommitSet(conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{Namespace: "other", DataID: "x"}, Content: "1"}}})
	require.NoError(t, err)

	list := func(req conf.ListRequest) (pages []int) {
		for more := true; more; {
			resp, err := srv.List(t.Context(), &req)
			require.NoError(t, err)
			for _, e := range resp.Entries {
				assert.Positive(t, e.Key.Compare(req.After), "in key order, each once")
				assert.Equal(t, conf.DefaultNamespace, e.Key.Namespace)
				req.After = e.Key
				if req.Contents {
					assert.Len(t, e.Content, int(e.Size))
				} else {
					assert.Empty(t, e.Content)
				}
			}
			pages, more = append(pages, len(resp.Entries)), resp.More
		}
		return pages
	}
	assert.Equal(t, []int{100, 55}, list(conf.ListRequest{}), "100 a page unless asked")
	assert.Equal(t, []int{155}, list(conf.ListRequest{Limit: 1_000_000}))
	assert.Equal(t, []int{2, 2, 1}, list(conf.ListRequest{Prefix: "big-", Contents: true}), "up to 1 MiB a page")
	assert.Equal(t, []int{150}, list(conf.ListRequest{Prefix: "small-", Group: conf.DefaultGroup, Contents: true, Limit: 200}))

	for field, req := range map[string]conf.ListRequest{
		"namespace": {Namespace: "a b"},
		"group":     {Group: "a b"},
		"prefix":    {Prefix: "a/"},
		"limit":     {Limit: -1},
		"dataId":    {After: conf.Key{DataID: "/"}},
	} {
		_, err := srv.List(t.Context(), &req)
		require.ErrorIs(t, err, conf.ErrInvalid, field)
		require.ErrorContains(t, err, field)
	}
}

// No public request can read or write the keys of the system.
func TestSystemNamespacesAreHidden(t *testing.T) {
	store := memstore.New()
	secret := conf.Key{Namespace: "_users", Group: "g", DataID: "root"}
	_, err := store.Commit(t.Context(), []conf.ChangeSet{
		{Drafts: []conf.Draft{{Key: secret, Content: "hash"}, {Key: conf.NewKey("", "a"), Content: "1"}}},
	})
	require.NoError(t, err)
	srv := servertest.Serve(t, store)
	ctx := t.Context()
	_, err = srv.Fetch(ctx, &conf.FetchRequest{Key: secret})
	require.ErrorIs(t, err, conf.ErrDenied)
	_, err = srv.History(ctx, &conf.HistoryRequest{Key: secret})
	require.ErrorIs(t, err, conf.ErrDenied)
	_, err = srv.List(ctx, &conf.ListRequest{Namespace: "_users"})
	require.ErrorIs(t, err, conf.ErrDenied)
	_, err = srv.Changes(ctx, &conf.ChangesRequest{Namespace: "_users"})
	require.ErrorIs(t, err, conf.ErrDenied)
	for _, namespace := range []string{"", conf.DefaultNamespace, conf.AllNamespaces} {
		changes, err := srv.Changes(ctx, &conf.ChangesRequest{Namespace: namespace, Contents: true})
		require.NoError(t, err)
		require.Len(t, changes.Changes, 1, namespace)
		assert.Equal(t, "a", changes.Changes[0].Key.DataID)
		entries, err := srv.List(ctx, &conf.ListRequest{Namespace: namespace, Contents: true})
		require.NoError(t, err)
		require.Len(t, entries.Entries, 1, namespace)
		assert.Equal(t, "a", entries.Entries[0].Key.DataID)
	}
}

func TestHistory(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	for i := range 5 {
		srv.Publish("a", fmt.Sprint(i))
	}
	srv.Remove("a")
	resp, err := srv.History(t.Context(), &conf.HistoryRequest{Key: conf.NewKey("", "a"), Before: 6, Limit: 2})
	require.NoError(t, err)
	require.Len(t, resp.Changes, 2)
	assert.EqualValues(t, 5, resp.Changes[0].Revision)
	assert.Empty(t, resp.Changes[0].Content)
	resp, err = srv.History(t.Context(), &conf.HistoryRequest{Key: conf.NewKey("", "a")})
	require.NoError(t, err)
	require.Len(t, resp.Changes, 6)
	assert.Equal(t, conf.OpDelete, resp.Changes[0].Op)
	_, err = srv.History(t.Context(), &conf.HistoryRequest{Key: conf.NewKey("", "a"), Limit: -1})
	require.ErrorIs(t, err, conf.ErrInvalid)
}

// A watch does not return while no change passes its filter, but its position moves on.
func TestWatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		at := srv.Publish("a", "1")
		watch := func(wait time.Duration) <-chan *conf.ChangesResponse {
			got := make(chan *conf.ChangesResponse, 1)
			go func() {
				resp, err := srv.Changes(context.Background(), &conf.ChangesRequest{After: at, Prefix: "b", Wait: wait, Contents: true})
				assert.NoError(t, err)
				got <- resp
			}()
			synctest.Wait()
			return got
		}
		start := time.Now()
		reads := storage.count("changes")
		got := watch(time.Minute)
		assert.Equal(t, reads, storage.count("changes"), "who is up to date costs the storage nothing")
		srv.Publish("a", "2")
		time.Sleep(time.Second)
		require.Empty(t, got)
		moved := srv.Publish("b", "3")
		resp := <-got
		assert.Equal(t, time.Second, time.Since(start))
		require.Len(t, resp.Changes, 1)
		assert.Equal(t, "3", resp.Changes[0].Content)
		assert.Equal(t, moved, resp.Position)

		at = moved
		got = watch(10 * time.Second)
		moved = srv.Publish("a", "4")
		resp = <-got
		assert.Empty(t, resp.Changes)
		assert.Equal(t, moved, resp.Position, "also when the filter left nothing")

		future := moved
		future.Revision += 5
		_, err := srv.Changes(t.Context(), &conf.ChangesRequest{After: future})
		require.ErrorIs(t, err, conf.ErrEpoch)
	})
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		srv.Publish("a", "1")
		at := srv.Publish("a", "2")
		report := func(client string, revision int64, applied bool, reason string) error {
			_, err := srv.Report(t.Context(), &conf.ReportRequest{
				Client:  conf.ClientInfo{ID: client},
				Reports: []conf.Report{{Key: conf.NewKey("", "a"), Revision: revision, Applied: applied, Reason: reason}},
			})
			return err
		}
		require.NoError(t, report("one", at.Revision, true, ""))
		require.NoError(t, report("two", 1, true, ""))
		require.NoError(t, report("three", at.Revision, false, "panic"))
		require.NoError(t, report("three", at.Revision, false, "panic"))
		assert.Equal(t, conf.ListenerCounts{InSync: 1, Pending: 1, Rejected: 1}, srv.Status().Listeners)
		srv.Publish("a", "3")
		assert.Equal(t, conf.ListenerCounts{Pending: 3}, srv.Status().Listeners)
		srv.Remove("a")
		assert.Zero(t, srv.Status().Listeners)
		srv.Publish("a", "4")
		time.Sleep(time.Hour)
		assert.Zero(t, srv.Status().Listeners, "soft state")

		require.ErrorIs(t, report("", 1, true, ""), conf.ErrInvalid)
		require.ErrorIs(t, report(strings.Repeat("x", 1000), 1, true, ""), conf.ErrInvalid)
		require.ErrorIs(t, report("one", 0, true, ""), conf.ErrInvalid)
		require.ErrorIs(t, report("one", 1, false, "the password is hunter2"), conf.ErrInvalid, "no words but these two: they might hold content")
	})
}
