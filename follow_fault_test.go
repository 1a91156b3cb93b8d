package diamond_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// Servers that are away: the last state stays, Err says so within 40 s and OnError once.
// When they are back all is told that happened meanwhile.
func TestFollow_ServersAway(t *testing.T) {
	for name, begin := range map[string]func(*transporttest.Faulty){
		"refusing": func(f *transporttest.Faulty) { f.Fail(clienttest.ErrDown) },
		"silent":   (*transporttest.Faulty).Partition,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t)
				g.publish("a", "0")
				m := g.follow()
				u, _ := observe(t, m)
				var told clienttest.Errors
				m.OnError(told.Add)
				for round := range 3 {
					time.Sleep(time.Minute)
					u.take()
					require.NoError(t, m.Err())
					begin(g.network)
					time.Sleep(70 * time.Second) // a request that was under way takes 25 s
					g.publish("a", fmt.Sprint(round, "a"))
					g.publish("a", fmt.Sprint(round, "b"))
					require.ErrorIs(t, m.Err(), diamond.ErrUnavailable)
					time.Sleep(10 * time.Minute)
					require.ErrorIs(t, m.Err(), diamond.ErrUnavailable)
					errs := told.Take()
					require.Len(t, errs, 1)
					require.ErrorIs(t, errs[0], diamond.ErrUnavailable)
					assert.NotEqual(t, fmt.Sprint(round, "b"), loaded(m)["a"])
					g.network.Heal()
					time.Sleep(5 * time.Second)
					require.NoError(t, m.Err())
					assert.Equal(t, []string{
						fmt.Sprintf("%d: a=%da", 2*round+2, round), fmt.Sprintf("%d: a=%db", 2*round+3, round),
					}, u.take())
				}
				begin(g.network)
				time.Sleep(70 * time.Second)
				g.network.Heal()
				time.Sleep(30 * time.Second)
				require.NoError(t, m.Err(), "also where nothing has changed meanwhile")
			})
		})
	}
}

// Servers that begin to refuse: the last state stays. They are asked again every 30 to
// 60 s, and no change is missed.
func TestFollow_ServersThatRefuse(t *testing.T) {
	for _, refusal := range []error{diamond.ErrDenied, diamond.ErrInvalid, diamond.ErrOtherStore} {
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t)
			g.publish("a", "1")
			var log clienttest.Logs
			client := clienttest.NewClient(t, g.exchange, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			m, err := diamond.Follow(t.Context(), client, followed)
			require.NoError(t, err)
			defer m.Close()
			u, _ := observe(t, m)
			var told clienttest.Errors
			m.OnError(told.Add)
			clienttest.Settle()
			u.take()

			var mu sync.Mutex
			var asked []time.Time
			refuse := func() error {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, time.Now())
				return &conf.Error{Err: refusal, Remote: true}
			}
			g.exchange.hooks(
				func(*conf.ListRequest) (*conf.ListResponse, error) { return nil, refuse() },
				func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, refuse() },
			)
			time.Sleep(25 * time.Second)
			g.publish("a", "2")
			g.publish("a", "-")
			time.Sleep(10 * time.Minute)
			require.ErrorIs(t, m.Err(), refusal)
			assert.Equal(t, map[string]string{"a": "1"}, loaded(m), "a lost right is no deletion")
			require.Len(t, told.Take(), 1, "once for all attempts")
			assert.Equal(t, 1, strings.Count(log.String(), "a mirror is not up to date"), log.String())
			mu.Lock()
			for i := 1; i < len(asked); i++ {
				pause := asked[i].Sub(asked[i-1])
				assert.True(t, pause >= 30*time.Second && pause < 60*time.Second, "%v", pause)
			}
			assert.Greater(t, len(asked), 8)
			mu.Unlock()

			g.exchange.hooks(nil, nil)
			time.Sleep(time.Minute)
			require.NoError(t, m.Err())
			assert.Equal(t, []string{"2: a=2", "3: -a"}, u.take())
			assert.Empty(t, loaded(m))
			assert.Empty(t, told.Take())
			assert.Equal(t, 1, strings.Count(log.String(), "a mirror is up to date again"))

			var late clienttest.Errors
			m.OnError(late.Add)
			clienttest.Settle()
			assert.Empty(t, late.Take(), "it is over")
		})
	}
}

// An error that is there already is told to a new callback.
func TestFollow_OnErrorTellsThePresentOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		m := g.follow()
		g.exchange.to(servertest.Serve(t, memstore.New()))
		time.Sleep(time.Minute)
		require.ErrorIs(t, m.Err(), diamond.ErrOtherStore)
		var told, stopped clienttest.Errors
		m.OnError(told.Add)
		m.OnError(func(error) { panic("a callback") })
		m.OnError(stopped.Add)()
		clienttest.Settle()
		require.Len(t, told.Take(), 1)
		g.exchange.to(g.server)
		time.Sleep(time.Minute)
		require.NoError(t, m.Err())
		stopped.Take()
		g.exchange.to(servertest.Serve(t, memstore.New()))
		time.Sleep(time.Minute)
		require.Len(t, told.Take(), 1, "it began again")
		assert.Empty(t, stopped.Take())
	})
}

// A slow callback gets the changes of its time as one Update, and delays no other one.
func TestFollow_SlowCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.commit(map[string]string{"a": "0", "gone": "0", "back": "0"})
		m := g.follow()
		quick, _ := observe(t, m)
		slow := &updates{t: t, state: map[diamond.Key]diamond.Config{}}
		blocked := make(chan struct{})
		m.OnChange(func(u diamond.Update) {
			if slow.add(u); len(slow.all) == 1 {
				<-blocked
			}
		})
		clienttest.Settle()
		const publishes = 10_000
		for i := range publishes {
			g.publish(fmt.Sprint("k", i%7), fmt.Sprint(i))
			if i%500 == 0 {
				g.commit(map[string]string{"new": "1", "back": "1"})
				g.commit(map[string]string{"new": "-", "back": "-"})
				g.publish("back", "2")
				clienttest.Settle()
			}
		}
		g.publish("gone", "-")
		clienttest.Settle()
		quick.mu.Lock()
		assert.Greater(t, len(quick.all), publishes, "nobody waits for the slow one")
		quick.mu.Unlock()
		slow.mu.Lock()
		slow.all = slow.all[:1]
		slow.mu.Unlock()
		close(blocked)
		clienttest.Settle()
		slow.mu.Lock()
		defer slow.mu.Unlock()
		require.LessOrEqual(t, len(slow.all), 1001)
		merged := slow.all[1]
		assert.Equal(t, map[string]string{"back": "2"}, map[string]string{"back": merged.Changed[inGroup("back")].Content})
		assert.NotContains(t, merged.Changed, inGroup("new"))
		assert.NotContains(t, merged.Deleted, inGroup("new"), "it was not there before")
		entries, at := m.Load()
		assert.Equal(t, entries, slow.state)
		assert.Equal(t, at.Revision, slow.all[len(slow.all)-1].Revision)
		quick.mu.Lock()
		defer quick.mu.Unlock()
		assert.Equal(t, entries, quick.state)
	})
}

// hugeList is a server with count entries, whose contents have size bytes together.
func hugeList(at conf.Position, count int, content string) func(*conf.ListRequest) (*conf.ListResponse, error) {
	return func(req *conf.ListRequest) (*conf.ListResponse, error) {
		resp := &conf.ListResponse{Position: at}
		first := 0
		if req.After != (conf.Key{}) {
			fmt.Sscanf(req.After.DataID, "k%06d", &first)
			first++
		}
		for i := first; i < count && len(resp.Entries) < req.Limit; i++ {
			e := conf.Entry{Key: inGroup(fmt.Sprintf("k%06d", i)), Size: int64(len(content)), Revision: 1}
			if req.Contents {
				e.Content = content
			}
			resp.Entries = append(resp.Entries, e)
		}
		resp.More = first+len(resp.Entries) < count
		return resp, nil
	}
}

// A Mirror of more than 100,000 entries or 256 MiB is refused, at once or when it grows.
// It is one again when the entries are fewer.
func TestFollow_TooLarge(t *testing.T) {
	mib := strings.Repeat("x", 1<<20)
	for name, most := range map[string]struct {
		count   int
		content string
	}{"entries": {100_000, ""}, "bytes": {256, mib}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t)
				// The server has what the lists say, as far as changes tell.
				first := g.publish("k000000", "-x")
				g.exchange.hooks(hugeList(first, most.count+1, most.content), nil)
				_, err := diamond.Follow(t.Context(), g.client, followed)
				require.ErrorIs(t, err, diamond.ErrTooLarge)

				g.exchange.hooks(hugeList(first, most.count, most.content), nil)
				m := g.follow()
				u, _ := observe(t, m)
				clienttest.Settle()
				u.take()
				at := g.commit(map[string]string{"k000000": "-", "new": "1"}) // no more than before
				clienttest.Settle()
				require.NoError(t, m.Err())
				assert.Equal(t, []string{"2: new=1 -k000000"}, u.take())

				more := g.commit(map[string]string{"new": "-", "x": most.content + "1", "y": most.content + "1"})
				clienttest.Settle()
				require.ErrorIs(t, m.Err(), diamond.ErrTooLarge)
				entries, loadedAt := m.Load()
				assert.Equal(t, at, loadedAt, "the last state stays, with its position")
				assert.Contains(t, entries, inGroup("new"))
				assert.NotContains(t, entries, inGroup("x"))
				contentsListed := false
				huge := hugeList(more, most.count+1, most.content)
				g.exchange.hooks(func(req *conf.ListRequest) (*conf.ListResponse, error) {
					contentsListed = contentsListed || req.Contents
					return huge(req)
				}, nil)
				time.Sleep(5 * time.Minute)
				require.ErrorIs(t, m.Err(), diamond.ErrTooLarge)
				assert.Empty(t, u.take())
				assert.False(t, contentsListed, "whether it is still too large can be told without the contents")

				last := g.commit(map[string]string{"x": "-", "y": "-"})
				g.exchange.hooks(hugeList(last, 1, "1"), nil)
				time.Sleep(time.Minute)
				require.NoError(t, m.Err())
				assert.Equal(t, map[string]string{"k000000": "1"}, loaded(m))
				u.mu.Lock()
				defer u.mu.Unlock()
				require.Len(t, u.all, 1)
				assert.True(t, u.all[0].Resync)
				assert.Equal(t, most.count, len(u.all[0].Deleted))
			})
		})
	}
}

func TestFollow_FailsWithoutServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		g.network.Fail(clienttest.ErrDown)
		began := time.Now()
		_, err := diamond.Follow(t.Context(), g.client, followed)
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		assert.Equal(t, 10*time.Second, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = diamond.Follow(ctx, g.client, followed)
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		_, err = diamond.Follow(ctx, g.client, followed)
		require.ErrorIs(t, err, context.Canceled)

		g.network.Heal()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		m, err := diamond.Follow(ctx, g.client, followed)
		require.NoError(t, err)
		defer m.Close()
		cancel()
		time.Sleep(time.Minute)
		g.publish("a", "2")
		clienttest.Settle()
		assert.Equal(t, "2", loaded(m)["a"], "the context is only for waiting")
	})
}

// Where the changes made during the list do not come, Follow does not wait for ever.
func TestFollow_ChangesDuringTheListDoNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		lists := 0
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) {
			if lists++; lists%3 == 2 {
				g.publish("a", fmt.Sprint(lists))
			}
			return nil, nil
		}, func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, clienttest.ErrDown })
		began := time.Now()
		_, err := diamond.Follow(t.Context(), g.client, followed)
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		assert.Contains(t, err.Error(), "during the list")
		assert.Equal(t, 10*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = diamond.Follow(ctx, g.client, followed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, diamond.ErrUnavailable)
		assert.Equal(t, 70*time.Second, time.Since(began))

		compacted := &conf.Error{Err: diamond.ErrCompacted, Remote: true}
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) { g.elsewhere(); return nil, nil },
			func(*conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, compacted })
		_, err = diamond.Follow(t.Context(), g.client, followed)
		require.ErrorIs(t, err, diamond.ErrCompacted)
	})
}

func TestMirror_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		m := g.follow()
		began := time.Now()
		calls := 0
		m.OnChange(func(diamond.Update) { calls++; time.Sleep(10 * time.Second) })
		g.publish("a", "2")
		clienttest.Settle()
		m.Close()
		assert.Equal(t, 10*time.Second, time.Since(began), "it waits for the call under way")
		assert.Equal(t, 1, calls, "and no other one begins")
		m.Close()
		g.publish("a", "3")
		time.Sleep(time.Minute)
		assert.Equal(t, 1, calls)
		assert.Equal(t, map[string]string{"a": "2"}, loaded(m), "the last state stays")
		m.OnChange(func(diamond.Update) { calls++ })()
		m.OnError(func(error) { calls++ })()
		clienttest.Settle()
		assert.Equal(t, 1, calls)

		// From a callback, where it must not wait for itself.
		m = g.follow()
		m.OnChange(func(diamond.Update) { m.Close(); calls++ })
		clienttest.Settle()
		assert.Equal(t, 2, calls)
		m = g.follow()
		var stop func()
		ready := make(chan struct{})
		stop = m.OnChange(func(diamond.Update) { <-ready; stop(); calls++ })
		close(ready)
		g.publish("a", "4")
		clienttest.Settle()
		assert.Equal(t, 3, calls, "stopped by its first call")
		m.Close()

		// While servers are away, and while the entries are listed again.
		m = g.follow()
		g.network.Partition()
		time.Sleep(time.Minute)
		began = time.Now()
		m.Close()
		g.network.Heal()
		assert.Zero(t, time.Since(began))
		m = g.follow()
		listing := make(chan struct{})
		g.exchange.hooks(func(*conf.ListRequest) (*conf.ListResponse, error) {
			close(listing)
			time.Sleep(time.Hour)
			return nil, clienttest.ErrDown
		}, nil)
		_, err := g.store.Fork(t.Context(), diamond.Position{})
		require.NoError(t, err)
		<-listing
		m.Close()
	})
}

func TestMirror_ClientClosedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t)
		g.publish("a", "1")
		client, err := diamond.NewClient(g.network)
		require.NoError(t, err)
		m, err := diamond.Follow(t.Context(), client, followed)
		require.NoError(t, err)
		calls := 0
		m.OnChange(func(diamond.Update) { calls++ })
		var told clienttest.Errors
		m.OnError(told.Add)
		clienttest.Settle()
		require.NoError(t, client.Close())
		g.publish("a", "2")
		clienttest.Settle()
		require.ErrorIs(t, m.Err(), diamond.ErrClosed)
		assert.Equal(t, map[string]string{"a": "1"}, loaded(m))
		m.OnChange(func(diamond.Update) { calls++ })
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 1, calls)
		assert.Empty(t, told.Take(), "the program has closed it")
		m.Close()
		_, err = diamond.Follow(t.Context(), client, followed)
		require.ErrorIs(t, err, diamond.ErrClosed)
		require.False(t, errors.Is(err, diamond.ErrUnavailable))
	})
}
