package engine_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// S24: a store was restored under a clock that was behind that of the restore
// before it. Who has seen that one is told what to do. The log names it, once a
// minute however often it is asked.
func TestS24_AClientKnowsANewerGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		srv := servertest.Start(t, memstore.New(), log.option())
		at := srv.Publish("a", "1")
		later := at
		later.Revision += 10
		_, err := srv.Poll(t.Context(), servertest.PollFor(later, 0, "a"))
		require.ErrorIs(t, err, conf.ErrBehind)
		assert.NotContains(t, err.Error(), "restore", "it may come yet")
		assert.Zero(t, log.count("newer generation"), log.String())

		ahead := at
		ahead.Epoch = conf.Epoch{Generation: at.Epoch.Generation + 5, ID: [16]byte{1}}
		advice := fmt.Sprintf("gdiamond restore --above %d", ahead.Epoch.Generation)
		poll := func() {
			_, err := srv.Poll(t.Context(), servertest.PollFor(ahead, 0, "a"))
			require.ErrorIs(t, err, conf.ErrBehind)
			assert.ErrorContains(t, err, advice)
		}
		for minute := range 3 {
			for range 100 {
				poll()
			}
			time.Sleep(59 * time.Second)
			poll()
			assert.Equal(t, minute+1, log.count("a client names a generation of the store that is newer"), log.String())
			assert.NotContains(t, log.String(), "gdiamond restore", "anybody can make up a position, and the operator would lose data")
			time.Sleep(time.Second)
		}
		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), After: ahead})
		require.ErrorIs(t, err, conf.ErrBehind)
		assert.ErrorContains(t, err, advice)
		assert.Contains(t, log.String(), fmt.Sprintf("generation=%d here=%d", ahead.Epoch.Generation, at.Epoch.Generation))
	})
}
