package e2e

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A group that is followed over HTTP: pages that end by their size, sets of one and of
// several keys, contents of any bytes, deletions, and a server that is replaced.
func TestFollow_OverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		n, l := runNode(t, store), newLink()
		l.to(n.listener)
		want := map[string]string{}
		commit := func(contents map[string]string) {
			set := diamond.ChangeSet{}
			for id, content := range contents {
				if content == "" {
					set.Deletes = append(set.Deletes, diamond.Delete{Key: key(id)})
					delete(want, id)
					continue
				}
				set.Drafts = append(set.Drafts, diamond.Draft{Key: key(id), Content: content, Meta: map[string]string{"m": id}})
				want[id] = content
			}
			n.commit(set)
		}
		large := strings.Repeat("x", 400_000)
		for i := range 12 {
			commit(map[string]string{fmt.Sprint("large-", i): fmt.Sprint(i, large), fmt.Sprint("small-", i): "\x00\xff\n"})
		}
		client := newClient(t, l.transport(t))
		m, err := diamond.Follow(t.Context(), client, diamond.Filter{Group: diamond.DefaultGroup})
		require.NoError(t, err)
		defer m.Close()
		var mu sync.Mutex
		updates, got := 0, map[string]string{}
		m.OnChange(func(u diamond.Update) {
			mu.Lock()
			defer mu.Unlock()
			updates++
			for _, key := range u.Deleted {
				delete(got, key.DataID)
			}
			for key, config := range u.Changed {
				got[key.DataID] = config.Content
				assert.Equal(t, map[string]string{"m": key.DataID}, config.Meta)
			}
		})
		agree := func() {
			t.Helper()
			time.Sleep(5 * time.Second)
			loaded := map[string]string{}
			entries, _ := m.Load()
			for key, config := range entries {
				loaded[key.DataID] = config.Content
			}
			mu.Lock()
			defer mu.Unlock()
			require.True(t, maps.Equal(want, loaded))
			require.True(t, maps.Equal(want, got))
		}
		agree()
		assert.Equal(t, 1, updates)
		commit(map[string]string{"small-1": "", "large-2": large, "new": "1"})
		agree()
		assert.Equal(t, 2, updates)

		for range 3 {
			n.end()
			l.to(nil)
			time.Sleep(2 * time.Minute)
			require.ErrorIs(t, m.Err(), diamond.ErrUnavailable)
			n = runNode(t, store)
			commit(map[string]string{"new": ""})
			commit(map[string]string{"new": fmt.Sprint(time.Now())})
			l.to(n.listener)
			agree()
			require.NoError(t, m.Err())
		}
		assert.Equal(t, 8, updates, "each set once")
	})
}
