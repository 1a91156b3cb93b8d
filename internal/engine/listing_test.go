package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A list has all keys that pass the filter, in order, whatever the groups are, wherever
// the previous page ended, and whatever was deleted.
func TestListsLeaveWhatTheFilterSays(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	var all []conf.Key
	for g := range 30 {
		for i := range 40 {
			for _, prefix := range []string{"a", "app-", "app.", "b"} {
				all = append(all, conf.Key{Namespace: conf.DefaultNamespace, Group: fmt.Sprint("g", g), DataID: fmt.Sprint(prefix, i)})
			}
		}
	}
	for _, namespace := range []string{"aaa", "zzz", "A", "z"} {
		all = append(all, conf.Key{Namespace: namespace, Group: "g1", DataID: "app-1"}, conf.Key{Namespace: namespace, Group: "g2", DataID: "b3"})
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for keys := range slices.Chunk(all, 700) {
		var c conf.ChangeSet
		for _, k := range keys {
			c.Drafts = append(c.Drafts, conf.Draft{Key: k, Content: "x"})
		}
		_, err := srv.CommitSet(c)
		require.NoError(t, err)
	}
	var gone conf.ChangeSet
	for _, k := range all[:900] {
		gone.Deletes = append(gone.Deletes, conf.Delete{Key: k})
	}
	_, err := srv.CommitSet(gone)
	require.NoError(t, err)
	left := slices.SortedFunc(slices.Values(all[900:]), conf.Key.Compare)
	for _, req := range []conf.ListRequest{
		{}, {Prefix: "app-"}, {Prefix: "app"}, {Prefix: "b3"}, {Prefix: "none"}, {Prefix: "zz"}, {Prefix: "0"},
		{Group: "g1"}, {Group: "g11", Prefix: "app-"}, {Group: "none"}, {Group: "zz", Prefix: "a"}, {Group: "A", Prefix: "b"},
		{Namespace: "aaa"}, {Namespace: "zzz", Prefix: "app"}, {Namespace: "none"},
		{Namespace: "*"}, {Namespace: "*", Prefix: "app-"}, {Namespace: "*", Group: "g1"}, {Namespace: "*", Group: "g2", Prefix: "b3"},
		{Namespace: "*", Group: "none"}, {Namespace: "*", Prefix: "none"}, {Namespace: "*", Group: "zz", Prefix: "a"},
	} {
		var want []string
		for _, k := range left {
			if (req.Namespace == k.Namespace || req.Namespace == "" && k.Namespace == conf.DefaultNamespace || req.Namespace == conf.AllNamespaces) &&
				(req.Group == "" || req.Group == k.Group) && strings.HasPrefix(k.DataID, req.Prefix) {
				want = append(want, k.String())
			}
		}
		for _, req.Limit = range []int{0, 7, 1000} {
			require.Equal(t, want, srv.Listed(req), "%+v", req)
		}
	}
}

// The pages of all namespaces leave out the system's, which lie between those of the
// others, wherever a page begins and ends.
func TestListsOfAllNamespacesLeaveOutTheSystems(t *testing.T) {
	store := memstore.New()
	var all []conf.Key
	var set conf.ChangeSet
	for _, namespace := range []string{"A", "Z", "_", "_a", "_z", "a", "public", "z"} { // in order: "A" < "_" < "a"
		for _, group := range []string{"G", "_", "g"} {
			for _, id := range []string{"a", "b"} {
				k := conf.Key{Namespace: namespace, Group: group, DataID: id}
				all = append(all, k)
				set.Drafts = append(set.Drafts, conf.Draft{Key: k, Content: "x"})
			}
		}
	}
	_, err := store.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	srv := servertest.Serve(t, store)
	for _, f := range []conf.Filter{{}, {Prefix: "b"}, {Group: "_"}, {Group: "g", Prefix: "a"}, {Group: "none"}} {
		want := map[conf.Key][]string{} // by the key after which a list begins
		for _, after := range append(all, conf.Key{}) {
			for _, k := range all {
				if !k.System() && after.Compare(k) < 0 && (f.Group == "" || f.Group == k.Group) && strings.HasPrefix(k.DataID, f.Prefix) {
					want[after] = append(want[after], k.String())
				}
			}
		}
		for after := range want {
			for limit := range len(all) + 1 { // 0 is a page of 100
				req := conf.ListRequest{Namespace: conf.AllNamespaces, Group: f.Group, Prefix: f.Prefix, After: after, Limit: limit}
				require.Equal(t, want[after], srv.Listed(req), "%+v", req)
			}
		}
	}
}

// A page is exactly as of its position, whatever is published meanwhile.
func TestINV2_ListsAreAsOfOnePosition(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	set := func(v int) (c conf.ChangeSet) { // in each, all keys have the same value, or none is there
		for i := range 50 {
			k := conf.NewKey("", fmt.Sprint("key-", i))
			if v%5 == 4 {
				c.Deletes = append(c.Deletes, conf.Delete{Key: k})
			} else {
				c.Drafts = append(c.Drafts, conf.Draft{Key: k, Content: fmt.Sprint(v)})
			}
		}
		return c
	}
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			for ctx.Err() == nil {
				resp, err := srv.List(ctx, &conf.ListRequest{})
				if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					return
				}
				for _, e := range resp.Entries {
					if !assert.Equal(t, resp.Position.Revision, e.Revision) {
						return
					}
				}
				if !resp.More && !assert.Contains(t, []int{0, 50}, len(resp.Entries)) {
					return
				}
			}
		})
	}
	for v := range 2000 {
		_, err := srv.CommitSet(set(v))
		require.NoError(t, err)
	}
	stop()
	reading.Wait()
}

// Lists do not use the storage, and work while it is down.
func TestListsAreAnsweredFromMemory(t *testing.T) {
	storage := troubledBy(memstore.New())
	srv := servertest.Serve(t, storage)
	srv.PublishMany(0, 0, 3000)
	before := storage.count("scan") + storage.count("read")
	assert.Len(t, srv.Listed(conf.ListRequest{Prefix: "0-02", Contents: true}), 1000)
	assert.Len(t, srv.Listed(conf.ListRequest{Limit: 1000}), 3000)
	assert.Equal(t, before, storage.count("scan")+storage.count("read"))
	storage.fail(conf.ErrUnavailable, "scan", "read", "changes")
	assert.Len(t, srv.Listed(conf.ListRequest{}), 3000)
}
