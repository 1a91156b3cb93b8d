package engine_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// What is made of all keys is exactly as of one position, whatever is published
// and deleted while they are gone through.
func TestINV2_ViewsAreAsOfOnePosition(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	srv.PublishMany(0, 0, 20_000)
	const keys = 50
	set := func(v int) (c conf.ChangeSet) { // in each, all keys have the same value, or none is there
		for i := range keys {
			k := conf.NewKey("", fmt.Sprintf("0-%05d-x", i*400))
			if v%5 == 4 {
				c.Deletes = append(c.Deletes, conf.Delete{Key: k})
			} else {
				c.Drafts = append(c.Drafts, conf.Draft{Key: k, Content: fmt.Sprint(v)})
			}
		}
		c.Drafts = append(c.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprint("new-", v)), Content: "x"})
		return c
	}
	var publishing sync.WaitGroup
	done := make(chan struct{})
	publishing.Go(func() {
		defer close(done)
		for v := range 300 {
			_, err := srv.CommitSet(set(v))
			assert.NoError(t, err)
		}
	})
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		at, entries := engine.ViewOf(srv.Server)
		newest := 0
		for i := range entries {
			require.LessOrEqual(t, entries[i].Revision, at.Revision)
			if len(entries[i].Key.DataID) == len("0-00000-x") {
				newest++
				require.Equal(t, at.Revision, entries[i].Revision)
			}
		}
		require.Contains(t, []int{0, keys}, newest)
	}
	publishing.Wait()
}
