package e2e

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// All packets are lost while a poll is parked, and nobody is told: the client
// has a new connection at the end of the wait plus 5 s, and the server is not
// left with the dead one.
func TestN6_HalfOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		n, l := runNode(t, store), newLink()
		defer n.end()
		l.to(n.listener)
		n.publish("a", "0")
		client := newClient(t, l.transport(t))
		r := follow(t, client, "a")
		time.Sleep(40 * time.Second) // a poll has been parked for some while
		require.Equal(t, 1, n.srv.Status().Waiters)

		for i := range 3 {
			l.swallow()
			want := fmt.Sprint(i + 1)
			n.publish("a", want)
			begun := time.Now()
			for r.last() != want && time.Since(begun) < 5*time.Minute {
				time.Sleep(100 * time.Millisecond)
			}
			assert.LessOrEqual(t, time.Since(begun), 25*time.Second*11/10+5*time.Second+2*time.Second, "the wait, 5 s, a pause")
			config, err := client.Get(t.Context(), key("a"))
			require.NoError(t, err)
			assert.Equal(t, want, config.Content)
		}
		l.swallow() // and nothing changes meanwhile
		time.Sleep(5 * time.Minute)
		assert.Equal(t, 1, n.srv.Status().Waiters)
		assert.Equal(t, 1, l.open(), "the server has closed the dead ones")
		assert.Equal(t, []string{"0", "1", "2", "3"}, r.contents())
	})
}

// A proxy cuts connections on which nothing moves: the client learns to ask for
// less, nothing is missed, and the application hears nothing of it.
func TestN7_ProxyCutsIdleConnections(t *testing.T) {
	for _, idle := range []time.Duration{30 * time.Second, 10 * time.Second} {
		t.Run(idle.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				defer store.Close()
				n, l := runNode(t, store), newLink()
				defer n.end()
				l.to(n.listener)
				l.set(func(l *link) { l.idle = idle })
				n.publish("a", "0")
				var log logs
				client := newClient(t, l.transport(t), diamond.WithLogger(log.logger()))
				r := follow(t, client, "a")
				time.Sleep(30 * time.Minute) // learns

				polls := n.polls()
				before := n.srv.Status().Counters.PollCanceled
				const period = 2 * time.Hour
				time.Sleep(period)
				after := n.srv.Status().Counters.PollCanceled
				ideal := period.Seconds() / min(idle, 25*time.Second).Seconds()
				assert.LessOrEqual(t, float64(n.polls()-polls), math.Ceil(ideal*1.2), "of the ideal rate")
				assert.LessOrEqual(t, after-before, uint64(12), "hardly any is cut any more")

				want := []string{"0"}
				for i := range 100 {
					want = append(want, fmt.Sprint(i+1))
					n.publish("a", want[i+1])
					time.Sleep(time.Duration(i%9) * 3 * time.Second / 2) // at all points of a wait
					if i%9 == 0 {
						time.Sleep(time.Second)
					}
				}
				time.Sleep(5 * time.Second)
				assert.Equal(t, want, r.contents(), "none missed")
				assert.NoError(t, client.Status(key("a"))[0].Err)
				assert.NotContains(t, log.String(), "level=WARN")
			})
		})
	}
}

// An answer that is cut off at any byte is no answer, and is asked for again.
func TestN12_ConnectionResetMidBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		n, l := runNode(t, store), newLink()
		defer n.end()
		l.to(n.listener)
		content := bytesOf(64 << 10)
		at := n.publish("a", content)
		over := l.transport(t)
		fetch := func() (int, error) {
			resp, err := over.Fetch(t.Context(), &conf.FetchRequest{Key: key("a")})
			if err != nil {
				return 0, err
			}
			require.True(t, resp.Found)
			require.True(t, resp.Entry.Content == content, "never anything else")
			return 1, nil
		}
		poll := func() (int, error) {
			resp, err := over.Poll(t.Context(), pollFor(diamond.Position{}, "a"))
			if err != nil {
				return 0, err
			}
			for _, s := range resp.Changed {
				require.NotNil(t, s.Entry)
				require.True(t, s.Entry.Content == content, "never anything else")
			}
			return len(resp.Changed), nil
		}
		step := 61
		if campaign.On() {
			step = 1
		}
		for name, ask := range map[string]func() (int, error){"fetch": fetch, "poll": poll} {
			cuts := 0
			for limit := 0; ; limit++ {
				if limit > 700 && limit < 64<<10 && limit%step != 0 {
					continue
				}
				l.cut()
				synctest.Wait()
				l.set(func(l *link) { l.limit = int64(limit) })
				found, err := ask()
				if err == nil {
					require.Equal(t, 1, found, "%s cut after %d bytes is not an answer without the key", name, limit)
					require.Greater(t, limit, 64<<10, "whole")
					break
				}
				require.ErrorIs(t, err, diamond.ErrUnavailable, "%s cut after %d bytes", name, limit)
				require.NotErrorIs(t, err, diamond.ErrNotFound)
				cuts++
			}
			t.Logf("%s: cut off at %d places", name, cuts)
		}

		// A client asks until it has the whole.
		limits := int64(100)
		client := newClient(t, l.transport(t))
		l.set(func(l *link) { l.limit = limits })
		r := follow(t, client, "a")
		for range 8 {
			time.Sleep(10 * time.Second)
			require.Empty(t, r.contents(), "nothing is delivered by half")
			limits *= 2
			l.set(func(l *link) { l.limit = limits })
		}
		l.set(func(l *link) { l.limit = -1 })
		time.Sleep(31 * time.Second)
		require.Len(t, r.all(), 1)
		assert.Equal(t, at.Revision, r.all()[0].Revision)
		assert.True(t, r.last() == content)
	})
}

// bytesOf returns n bytes of which no part looks like another.
func bytesOf(n int) string {
	b := make([]byte, 0, n+sha256.Size)
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		b = append(b, sum[:]...)
	}
	return string(b[:n])
}

func pollFor(at diamond.Position, dataIDs ...string) *conf.PollRequest {
	keys := make([]diamond.Key, len(dataIDs))
	for i, id := range dataIDs {
		keys[i] = key(id)
	}
	return &conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys, Position: at}
}
