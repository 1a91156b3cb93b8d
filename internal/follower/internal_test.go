package follower

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/worker"
)

// deaf is a transport that never answers.
type deaf struct{ Transport }

func (deaf) Fetch(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A Get that found a slot just before a server refused its key for good must
// not bring it back: a newer Get has another, and polls name a key once.
func TestGet_DroppedSlotIsNotReused(t *testing.T) {
	c, err := New(deaf{}, Config{})
	require.NoError(t, err)
	key := conf.NewKey("", "refused")
	c.slots.mu.Lock()
	s, err := c.slots.slotOf(key)
	c.slots.mu.Unlock()
	require.NoError(t, err)
	c.loader.finish(s, update{}, &conf.Error{Err: conf.ErrDenied, Remote: true})
	s.retryAt = s.retryAt.AddDate(-1, 0, 0) // the pause is over

	_, err = c.loader.awaitShown(t.Context(), s)
	require.ErrorIs(t, err, conf.ErrDenied)
	c.slots.mu.Lock()
	assert.False(t, s.loading)
	again, err := c.slots.slotOf(key)
	c.slots.mu.Unlock()
	require.NoError(t, err)
	assert.NotSame(t, s, again)
	require.NoError(t, c.Close())
}

// The error for too many keys says what to do. The limit applies to the keys that are
// followed now.
func TestAClientFollowsABoundedNumberOfKeys(t *testing.T) {
	c, err := New(deaf{}, Config{})
	require.NoError(t, err)
	c.slots.mu.Lock()
	for i := range conf.MaxPollKeys {
		_, err := c.slots.slotOf(conf.NewKey("", strconv.Itoa(i)))
		require.NoError(t, err)
	}
	c.slots.mu.Unlock()
	_, err = c.Subscribe(conf.NewKey("", "one-more"), func(context.Context, conf.Config) error { return nil })
	require.ErrorIs(t, err, conf.ErrTooLarge)
	require.ErrorContains(t, err, "Peek")
	c.poller.letGo(time.Now().Add(keepUnused))
	sub, err := c.Subscribe(conf.NewKey("", "one-more"), func(context.Context, conf.Config) error { return nil })
	require.NoError(t, err)
	sub.Stop()
	require.NoError(t, c.Close())
}

// oneOverride is local files with an override, and nothing else.
type oneOverride struct {
	Files
	content string
}

func (f *oneOverride) Override(conf.Key) (string, error) { return f.content, nil }

// The result of a read that hung may arrive after that of a later read.
func TestD6_AnOverrideThatComesLateUndoesNoLaterRead(t *testing.T) {
	c, err := New(deaf{}, Config{})
	require.NoError(t, err)
	files := &oneOverride{content: "1"}
	c.disk.local = files
	s := newSlot(conf.NewKey("", "app.yaml"))
	c.disk.lookForOverride(s)
	files.content = "2"
	c.disk.lookForOverride(s)
	c.disk.takeLateOverride(s, 1, "1", nil)
	assert.Equal(t, "2", s.override.Content)
	c.disk.takeLateOverride(s, 2, "late", nil)
	assert.Equal(t, "late", s.override.Content, "the last read, which hung")
	c.disk.local = nil
	require.NoError(t, c.Close())
}

// The client keeps nothing of calls that are over.
func TestNothingIsKeptOfCallsThatAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(deaf{}, Config{})
		require.NoError(t, err)
		key := conf.NewKey("", "a")
		var last conf.Config
		sub, err := c.Subscribe(key, func(_ context.Context, config conf.Config) error { last = config; return nil })
		require.NoError(t, err)
		callback := worker.New(func(context.Context) {})
		require.True(t, sub.Enter(callback))
		sub.Exit(callback)
		c.slots.mu.Lock()
		for _, s := range c.slots.byKey.All() {
			s.value, s.settled = &knownState{entry: conf.Entry{Key: key, Content: "y", Revision: 1}, source: conf.SourceServer}, true
			c.slots.show(s)
		}
		c.slots.mu.Unlock()
		synctest.Wait()
		assert.Equal(t, "y", last.Content)
		c.slots.mu.Lock()
		assert.Empty(t, c.notifier.running)
		c.slots.mu.Unlock()
		require.NoError(t, c.Close())
	})
}
