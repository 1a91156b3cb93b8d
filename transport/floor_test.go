package transport_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// C8: an answer never goes back, whichever server gives it.
func TestC8_LaggingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := newCluster(t, "ahead")
		lag := &lagging{Transport: ahead.faulty["ahead"]}
		b := transport.NewBalancer(transport.Static("ahead", "behind"), func(addr string) (diamond.Transport, error) {
			if addr == "ahead" {
				return ahead.faulty["ahead"], nil
			}
			return lag, nil
		})
		defer b.Close()
		first, err := put(b, "")
		require.NoError(t, err)
		lag.freeze(first.Position)
		for range 3 {
			_, err = put(ahead.srv["ahead"], "")
			require.NoError(t, err)
		}
		// The newest position is seen at the server that is ahead; then that one is lost.
		for range 10 {
			res, err := b.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "k")})
			require.NoError(t, err)
			if res.Position.Revision == 4 {
				break
			}
			lag.fail()
		}
		ahead.faulty["ahead"].Fail(conf.Errorf(conf.ErrUnavailable, "lost"))
		lag.heal()
		time.Sleep(time.Minute)
		seen := first.Position
		seen.Revision = 2
		for range 3 {
			_, err = b.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "k"), After: seen})
			require.ErrorIs(t, err, conf.ErrBehind, "an older answer is none to who has seen a newer one")
			_, err = b.Poll(t.Context(), &conf.PollRequest{})
			require.ErrorIs(t, err, conf.ErrBehind)
			res, err := b.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "k")})
			require.NoError(t, err, "who has seen none is better off with it")
			assert.EqualValues(t, 1, res.Position.Revision)
			assert.GreaterOrEqual(t, res.Stale, time.Minute, "and is told how old it is at least")
		}
		lag.thaw()
		res, err := b.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "k")})
		require.NoError(t, err)
		assert.EqualValues(t, 4, res.Position.Revision)
	})
}

// lagging is a server that has stopped at an old position, and does not know of After.
type lagging struct {
	diamond.Transport
	mu     sync.Mutex
	at     conf.Position
	failed bool
}

func (l *lagging) freeze(at conf.Position) { l.mu.Lock(); defer l.mu.Unlock(); l.at = at }
func (l *lagging) thaw()                   { l.freeze(conf.Position{}) }
func (l *lagging) fail()                   { l.mu.Lock(); defer l.mu.Unlock(); l.failed = true }
func (l *lagging) heal()                   { l.mu.Lock(); defer l.mu.Unlock(); l.failed = false }

func (l *lagging) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	l.mu.Lock()
	at, failed := l.at, l.failed
	l.mu.Unlock()
	switch {
	case failed:
		return nil, conf.Errorf(conf.ErrUnavailable, "failed")
	case !at.IsZero():
		return &conf.FetchResponse{Position: at}, nil
	}
	return &conf.FetchResponse{Position: req.After}, nil
}

func (l *lagging) Poll(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
	return &conf.PollResponse{Position: l.at}, nil
}

// A server of another store is not an older or a newer one: it is refused.
func TestBalance_OtherStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := newCluster(t, "a"), newCluster(t, "b")
		r := &resolver{addrs: []string{"a"}}
		b := transport.NewBalancer(r, func(addr string) (diamond.Transport, error) {
			if addr == "a" {
				return c.faulty["a"], nil
			}
			return other.faulty["b"], nil
		}, transport.WithResolveInterval(time.Second))
		defer b.Close()
		_, err := put(b, "")
		require.NoError(t, err)
		r.set(nil, "b")
		time.Sleep(5 * time.Second)
		assert.ErrorIs(t, get(b), conf.ErrOtherStore)
	})
}

// What a list or a watch brings is as of the storage, which its server may be
// about to reach: polls of that server are not refused for it.
func TestBalance_StorageAheadOfServer(t *testing.T) {
	at := conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1}, Revision: 5}
	ahead := at
	ahead.Revision = 7
	var after conf.Position
	b := transport.NewBalancer(transport.Static("only"), func(string) (diamond.Transport, error) { return catchingUp{at: at, ahead: ahead, after: &after}, nil })
	defer b.Close()
	_, err := b.List(t.Context(), &conf.ListRequest{})
	require.NoError(t, err)
	res, err := b.Poll(t.Context(), &conf.PollRequest{})
	require.NoError(t, err)
	assert.Equal(t, at, res.Position)
	require.NoError(t, get(b))
	assert.Equal(t, ahead, after, "a fetch waits for it")
}

// catchingUp is a server whose storage is ahead of it.
type catchingUp struct {
	diamond.Transport
	at, ahead conf.Position
	after     *conf.Position
}

func (c catchingUp) List(context.Context, *conf.ListRequest) (*conf.ListResponse, error) {
	return &conf.ListResponse{Position: c.ahead}, nil
}

func (c catchingUp) Poll(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
	return &conf.PollResponse{Position: c.at}, nil
}

func (c catchingUp) Fetch(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	*c.after = req.After
	return &conf.FetchResponse{Position: c.ahead}, nil
}
