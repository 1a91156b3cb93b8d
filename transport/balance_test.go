package transport_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is some servers on one store, by address, each behind a faulty network.
type cluster struct {
	t      *testing.T
	store  *memstore.Store
	faulty map[string]*transporttest.Faulty
	srv    map[string]diamond.Server
	closed sync.Map // addresses whose transport was closed
	dials  atomic.Int32
}

func newCluster(t *testing.T, addrs ...string) *cluster {
	c := &cluster{t: t, store: memstore.New(), faulty: map[string]*transporttest.Faulty{}, srv: map[string]diamond.Server{}}
	for _, addr := range addrs {
		srv, err := diamond.NewServer(c.store)
		require.NoError(t, err)
		c.srv[addr], c.faulty[addr] = srv, transporttest.NewFaulty(srv)
	}
	t.Cleanup(func() {
		for _, srv := range c.srv {
			require.NoError(t, srv.Close())
		}
		require.NoError(t, c.store.Close())
	})
	return c
}

// closing is a transport that notes its Close.
type closing struct {
	*transporttest.Faulty
	close func()
}

func (c closing) Close() { c.close() }

func (c *cluster) dial(addr string) (diamond.Transport, error) {
	c.dials.Add(1)
	if c.faulty[addr] == nil {
		return nil, errors.New("no route to " + addr)
	}
	return closing{c.faulty[addr], func() { c.closed.Store(addr, true) }}, nil
}

func (c *cluster) balance(r transport.Resolver, opts ...transport.Option) *transport.Balancer {
	b := transport.Balance(r, c.dial, opts...)
	c.t.Cleanup(b.Close)
	return b
}

// asked returns which servers were asked since the last time.
func (c *cluster) asked(since map[string]int) (addrs []string) {
	for addr, f := range c.faulty {
		made, _ := f.Calls()
		if made > since[addr] {
			addrs = append(addrs, addr)
		}
		since[addr] = made
	}
	return addrs
}

func get(b diamond.Transport) error {
	_, err := b.Fetch(context.Background(), &diamond.FetchRequest{Key: diamond.NewKey("", "k")})
	return err
}

func put(b diamond.Transport, requestID string) (*diamond.CommitResponse, error) {
	return b.Commit(context.Background(), &diamond.CommitRequest{Set: diamond.ChangeSet{
		RequestID: requestID, Drafts: []diamond.Draft{{Key: diamond.NewKey("", "k"), Content: "x"}},
	}})
}

// resolver returns what it is told to.
type resolver struct {
	mu    sync.Mutex
	addrs []string
	err   error
	asked int
}

func (r *resolver) set(err error, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs, r.err = addrs, err
}

func (r *resolver) Resolve(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.addrs, r.err
}

func TestConformance_Balancer(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, srv diamond.Server) diamond.Transport {
		b := transport.Balance(transport.Static("only"), func(string) (diamond.Transport, error) { return transporttest.NewFaulty(srv), nil })
		t.Cleanup(b.Close)
		return b
	})
}

func TestBalance_StickyAndRandomStart(t *testing.T) {
	first := map[string]int{}
	for range 60 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			b := c.balance(transport.Static("a", "b", "c"))
			since := map[string]int{}
			require.NoError(t, get(b))
			start := c.asked(since)
			require.Len(t, start, 1)
			for range 5 {
				require.NoError(t, get(b))
			}
			assert.Equal(t, start, c.asked(since), "it stays")
			first[start[0]]++
		})
	}
	assert.Len(t, first, 3, "clients spread: %v", first)
}

func TestBalance_NextOnFailure(t *testing.T) {
	for _, fault := range []error{
		diamond.Errorf(diamond.ErrUnavailable, "down"), diamond.Errorf(diamond.ErrOverloaded, "shed"), diamond.Errorf(diamond.ErrBehind, "behind"), diamond.Errorf(diamond.ErrClosed, "closed"),
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			b := c.balance(transport.Static("a", "b"))
			since := map[string]int{}
			require.NoError(t, get(b))
			was := c.asked(since)[0]
			c.faulty[was].Fail(fault)
			require.NoError(t, get(b), "the other one answers within the same call")
			assert.Len(t, c.asked(since), 2)
			for range 3 {
				require.NoError(t, get(b))
			}
			assert.Len(t, c.asked(since), 1, "and stays")
			assert.NotContains(t, c.asked(since), was)
		})
	}
}

// What a server has said for good is not asked of the next.
func TestBalance_LastWord(t *testing.T) {
	for _, fault := range []error{diamond.ErrNotFound, diamond.ErrConflict, diamond.ErrInvalid, diamond.ErrCompacted, diamond.ErrDenied, diamond.ErrNoSpace} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b")
			b := c.balance(transport.Static("a", "b"))
			for _, f := range c.faulty {
				f.Fail(&diamond.Error{Err: fault, Remote: true})
			}
			since := map[string]int{}
			require.ErrorIs(t, get(b), fault)
			assert.Len(t, c.asked(since), 1)
		})
	}
}

func TestBalance_TellingError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "gone", "b"))
		c.faulty["a"].Fail(diamond.Errorf(diamond.ErrUnavailable, "cannot be asked"))
		c.faulty["b"].Fail(&diamond.Error{Err: diamond.ErrOverloaded, Remote: true})
		err := get(b)
		assert.ErrorIs(t, err, diamond.ErrOverloaded, "what a server said says more than that others could not be asked")
		var e *diamond.Error
		require.True(t, errors.As(err, &e))
		assert.True(t, e.Remote)
	})
}

func TestBalance_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		b := c.balance(transport.Static("a"))
		c.faulty["a"].Fail(&diamond.Error{Err: diamond.ErrOverloaded, Detail: "shed", RetryAfter: 20 * time.Second, Remote: true})
		require.ErrorIs(t, get(b), diamond.ErrOverloaded)
		c.faulty["a"].Heal()
		made, _ := c.faulty["a"].Calls()
		err := get(b)
		require.ErrorIs(t, err, diamond.ErrOverloaded)
		again, _ := c.faulty["a"].Calls()
		assert.Equal(t, made, again, "it is left alone")
		var e *diamond.Error
		require.True(t, errors.As(err, &e))
		assert.GreaterOrEqual(t, e.RetryAfter, 20*time.Second)
		assert.Less(t, e.RetryAfter, 21*time.Second)
		time.Sleep(e.RetryAfter)
		assert.NoError(t, get(b))
	})
}

// A server that fails is tried again at growing, random distances, when there
// is another to ask; when it is the only one, each call tries it.
func TestBalance_CoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		b := c.balance(transport.Static("a"))
		c.faulty["a"].Fail(diamond.Errorf(diamond.ErrUnavailable, "down"))
		for range 5 {
			require.ErrorIs(t, get(b), diamond.ErrUnavailable)
		}
		c.faulty["a"].Heal()
		assert.NoError(t, get(b), "nobody waits for a cool-down when there is no other server")
	})
}

func TestBalance_Draining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)[0]
		c.srv[was].Drain()
		keys := []diamond.Key{diamond.NewKey("", "k")}
		poll := &diamond.PollRequest{Keys: keys, Set: diamond.HashKeys(keys), Wait: time.Second}
		res, err := b.Poll(t.Context(), poll)
		require.NoError(t, err)
		assert.True(t, res.Draining)
		c.asked(since)
		res, err = b.Poll(t.Context(), poll)
		require.NoError(t, err)
		assert.False(t, res.Draining, "the next call is for the other server")
		assert.NotContains(t, c.asked(since), was)
	})
}

// N2: an empty list, or none, never replaces a good one.
func TestN2_EmptyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		r := &resolver{addrs: []string{"a"}}
		b := c.balance(r, transport.WithResolveInterval(10*time.Second))
		require.NoError(t, get(b))
		r.set(nil)
		time.Sleep(time.Minute)
		require.NoError(t, get(b))
		r.set(errors.New("name server down"), "nonsense")
		time.Sleep(time.Minute)
		require.NoError(t, get(b))
		r.set(nil, "", "")
		time.Sleep(time.Minute)
		require.NoError(t, get(b), "blank addresses are none")
		assert.Greater(t, r.asked, 10)
	})
}

// C1: a list that is empty from the start is an error, and is asked for again.
func TestDefect_C1_EmptyFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		r := &resolver{}
		b := c.balance(r)
		err := get(b)
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		var e *diamond.Error
		require.True(t, errors.As(err, &e))
		assert.False(t, e.Remote)

		r.set(errors.New("name server down"))
		require.ErrorIs(t, get(b), diamond.ErrUnavailable)
		r.set(nil, "a")
		assert.NoError(t, get(b), "found as soon as it is there")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.balance(&resolver{}).Fetch(ctx, &diamond.FetchRequest{Key: diamond.NewKey("", "k")})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// C2: a list may shrink under a client's feet.
func TestDefect_C2_ShrinkingList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b", "c")
		r := &resolver{addrs: []string{"a", "b", "c"}}
		b := c.balance(r, transport.WithResolveInterval(5*time.Second))
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)[0]

		// A poll is under way at the server that goes.
		keys := []diamond.Key{diamond.NewKey("", "k")}
		polled := make(chan error, 1)
		go func() {
			_, err := b.Poll(t.Context(), &diamond.PollRequest{Keys: keys, Set: diamond.HashKeys(keys), Wait: time.Minute})
			polled <- err
		}()
		synctest.Wait()
		var left []string
		for _, addr := range []string{"a", "b", "c"} {
			if addr != was {
				left = append(left, addr)
			}
		}
		r.set(nil, left[0])
		time.Sleep(10 * time.Second)
		_, closed := c.closed.Load(was)
		assert.False(t, closed, "a call is under way there")
		c.asked(since)
		require.NoError(t, get(b))
		assert.Equal(t, []string{left[0]}, c.asked(since))
		require.NoError(t, <-polled)
		_, closed = c.closed.Load(was)
		assert.True(t, closed, "closed with its last call")
	})
}

// N1: with every name server dead nothing changes for who knows a list.
func TestN1_ResolverDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		r := &resolver{addrs: []string{"a", "b"}}
		b := c.balance(r)
		require.NoError(t, get(b))
		r.set(errors.New("down"))
		for range 60 {
			time.Sleep(time.Minute)
			require.NoError(t, get(b))
		}
	})
}

// A list is asked for again as soon as servers fail.
func TestBalance_ResolvesOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		r := &resolver{addrs: []string{"a"}}
		b := c.balance(r, transport.WithResolveInterval(time.Hour))
		require.NoError(t, get(b))
		c.faulty["a"].Fail(diamond.Errorf(diamond.ErrUnavailable, "gone"))
		r.set(nil, "b")
		require.Error(t, get(b))
		time.Sleep(2 * time.Second)
		assert.NoError(t, get(b))
	})
}

// A mute server does not use up the time that a call has.
func TestBalance_MuteServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		since := map[string]int{}
		require.NoError(t, get(b))
		c.faulty[c.asked(since)[0]].Partition()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := b.Fetch(ctx, &diamond.FetchRequest{Key: diamond.NewKey("", "k")})
		require.NoError(t, err)
		started := time.Now()
		require.NoError(t, get(b))
		assert.Zero(t, time.Since(started), "and is not asked first again")
	})
}

func TestBalance_MuteAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a")
		b := c.balance(transport.Static("a"))
		c.faulty["a"].Partition()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := b.Fetch(ctx, &diamond.FetchRequest{Key: diamond.NewKey("", "k")})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// C8: an answer never goes back, whichever server gives it.
func TestC8_LaggingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := newCluster(t, "ahead")
		lag := &lagging{Transport: ahead.faulty["ahead"]}
		b := transport.Balance(transport.Static("ahead", "behind"), func(addr string) (diamond.Transport, error) {
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
			res, err := b.Fetch(t.Context(), &diamond.FetchRequest{Key: diamond.NewKey("", "k")})
			require.NoError(t, err)
			if res.Position.Revision == 4 {
				break
			}
			lag.fail()
		}
		ahead.faulty["ahead"].Fail(diamond.Errorf(diamond.ErrUnavailable, "lost"))
		lag.heal()
		for range 3 {
			err = get(b)
			require.Error(t, err, "an older answer is none")
			assert.True(t, errors.Is(err, diamond.ErrBehind) || errors.Is(err, diamond.ErrUnavailable), "%v", err)
		}
		lag.thaw()
		res, err := b.Fetch(t.Context(), &diamond.FetchRequest{Key: diamond.NewKey("", "k")})
		require.NoError(t, err)
		assert.EqualValues(t, 4, res.Position.Revision)
	})
}

// lagging is a server that has stopped at an old position, and does not know of After.
type lagging struct {
	diamond.Transport
	mu     sync.Mutex
	at     diamond.Position
	failed bool
}

func (l *lagging) freeze(at diamond.Position) { l.mu.Lock(); defer l.mu.Unlock(); l.at = at }
func (l *lagging) thaw()                      { l.freeze(diamond.Position{}) }
func (l *lagging) fail()                      { l.mu.Lock(); defer l.mu.Unlock(); l.failed = true }
func (l *lagging) heal()                      { l.mu.Lock(); defer l.mu.Unlock(); l.failed = false }

func (l *lagging) Fetch(ctx context.Context, req *diamond.FetchRequest) (*diamond.FetchResponse, error) {
	l.mu.Lock()
	at, failed := l.at, l.failed
	l.mu.Unlock()
	switch {
	case failed:
		return nil, diamond.Errorf(diamond.ErrUnavailable, "failed")
	case !at.IsZero():
		return &diamond.FetchResponse{Position: at}, nil
	}
	return &diamond.FetchResponse{Position: req.After}, nil
}

// A server of another store is not an older or a newer one: it is refused.
func TestBalance_OtherStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := newCluster(t, "a"), newCluster(t, "b")
		r := &resolver{addrs: []string{"a"}}
		b := transport.Balance(r, func(addr string) (diamond.Transport, error) {
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
		assert.ErrorIs(t, get(b), diamond.ErrOtherStore)
	})
}

func TestBalance_CommitRetries(t *testing.T) {
	type outcome struct {
		fault     error
		requestID string
		want      error
		asked     int
	}
	for name, o := range map[string]outcome{
		"certainly not done":       {diamond.ErrUnavailable, "", nil, 2},
		"shed":                     {diamond.ErrOverloaded, "", nil, 2},
		"unknown":                  {diamond.ErrUnknownOutcome, "", diamond.ErrUnknownOutcome, 1},
		"unknown, with request id": {diamond.ErrUnknownOutcome, "r1", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, "a", "b")
				b := c.balance(transport.Static("a", "b"))
				since := map[string]int{}
				require.NoError(t, get(b))
				c.faulty[c.asked(since)[0]].Fail(diamond.Errorf(o.fault, "on command"))
				_, err := put(b, o.requestID)
				assert.ErrorIs(t, err, o.want)
				assert.Len(t, c.asked(since), o.asked)
			})
		})
	}
}

// An outcome that is unknown stays so, whatever other servers fail with.
func TestBalance_UnknownStaysUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)[0]
		for addr, f := range c.faulty {
			if addr == was {
				f.DropAnswers()
			} else {
				f.Fail(diamond.Errorf(diamond.ErrUnavailable, "down"))
			}
		}
		_, err := put(b, "r1")
		require.ErrorIs(t, err, diamond.ErrUnknownOutcome)
		for _, f := range c.faulty {
			f.Heal()
		}
		res, err := put(b, "r1")
		require.NoError(t, err)
		assert.True(t, res.Replayed, "it was done, once")
		assert.EqualValues(t, 1, res.Position.Revision)
	})
}

func TestBalance_Close(t *testing.T) {
	c := newCluster(t, "a")
	b := transport.Balance(transport.Static("a"), c.dial)
	require.NoError(t, get(b))
	b.Close()
	b.Close()
	_, closed := c.closed.Load("a")
	assert.True(t, closed)
	assert.ErrorIs(t, get(b), diamond.ErrClosed)
}

func TestBalance_Concurrent(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	r := &resolver{addrs: []string{"a", "b", "c"}}
	b := c.balance(r, transport.WithResolveInterval(time.Millisecond))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				switch (i + j) % 5 {
				case 0:
					c.faulty["a"].Fail(diamond.Errorf(diamond.ErrUnavailable, "down"))
				case 1:
					c.faulty["a"].Heal()
				case 2:
					r.set(nil, "b", fmt.Sprintf("gone-%d", j), "c")
				default:
					assert.NoError(t, get(b))
				}
			}
		})
	}
	all.Wait()
}
