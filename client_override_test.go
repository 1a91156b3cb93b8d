package diamond_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

// An override file that cannot be read for now hurts its own key only.
func TestD6_AnOverrideThatHangsHurtsOnlyItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		local := &hangingOverride{files: newFiles(), key: keyA, release: make(chan struct{})}
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		subscribe(t, client, keyA, &r)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		config, err := client.Get(ctx, keyB)
		require.NoError(t, err)
		assert.Equal(t, "b", config.Content)
		close(local.release)
		settle()
		assert.Equal(t, []string{"a"}, r.contents())
	})
}

// hangingOverride are local files of which one override hangs until release.
type hangingOverride struct {
	*files
	key     diamond.Key
	release chan struct{}
}

func (h *hangingOverride) Override(key diamond.Key) (string, error) {
	if key == h.key {
		<-h.release
	}
	return h.files.Override(key)
}
