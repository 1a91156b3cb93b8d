package diamond

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deaf is a transport that answers nobody.
type deaf struct{ Transport }

func (deaf) Fetch(ctx context.Context, _ *FetchRequest) (*FetchResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A Get that found a slot just before a server refused its key for good must
// not bring it back: a newer Get has another, and polls name a key once.
func TestGet_ASlotThatWasDroppedStaysSo(t *testing.T) {
	made, err := NewClient(deaf{})
	require.NoError(t, err)
	c := made.(*client)
	key := NewKey("", "refused")
	c.mu.Lock()
	s, err := c.slotOf(key)
	c.mu.Unlock()
	require.NoError(t, err)
	c.finishLoad(s, news{}, &Error{Err: ErrDenied, Remote: true})
	s.retryAt = s.retryAt.AddDate(-1, 0, 0) // the pause is over

	_, err = c.awaitShown(t.Context(), s)
	require.ErrorIs(t, err, ErrDenied)
	c.mu.Lock()
	assert.False(t, s.loading)
	again, err := c.slotOf(key)
	c.mu.Unlock()
	require.NoError(t, err)
	assert.NotSame(t, s, again)
	require.NoError(t, c.Close())
}

// The limit of keys is said so that one can act on it, and holds for those
// that are followed now.
func TestAClientFollowsABoundedNumberOfKeys(t *testing.T) {
	made, err := NewClient(deaf{})
	require.NoError(t, err)
	c := made.(*client)
	c.mu.Lock()
	for i := range MaxPollKeys {
		_, err := c.slotOf(NewKey("", strconv.Itoa(i)))
		require.NoError(t, err)
	}
	c.mu.Unlock()
	_, err = c.Subscribe(NewKey("", "one-more"), ListenerFunc(func(context.Context, Config) error { return nil }))
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "Peek")
	c.letGo(time.Now().Add(keepUnused))
	sub, err := c.Subscribe(NewKey("", "one-more"), ListenerFunc(func(context.Context, Config) error { return nil }))
	require.NoError(t, err)
	sub.Stop()
	require.NoError(t, c.Close())
}
