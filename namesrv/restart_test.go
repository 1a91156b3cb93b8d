package namesrv

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// A name server that starts anew has forgotten all. Servers are known again
// within a third of their lease, and until then nobody takes them for gone.
func TestL13_NameServerForgetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, NewRegistry())
		c := n.client(t, []string{ns1})
		all := []string{"a:1", "b:1", "c:1"}
		for _, addr := range all {
			register(t, n.client(t, []string{ns1}), addr)
		}
		synctest.Wait()
		require.Equal(t, all, resolve(t, c))

		for range 5 {
			n.serve(t, ns1, NewRegistry())
			for start := time.Now(); time.Since(start) < 2*DefaultLease; time.Sleep(time.Second) {
				require.Equal(t, all, resolve(t, c), "%v after the start", time.Since(start))
			}
		}
		n.serve(t, ns1, NewRegistry())
		time.Sleep(DefaultLease / 3)
		assert.Equal(t, all, resolve(t, n.client(t, []string{ns1})), "who knows nothing learns of all within a heartbeat")

		n.kill(ns1)
		time.Sleep(time.Hour)
		n.serve(t, ns1, NewRegistry())
		time.Sleep(DefaultLease/3 + callTimeout)
		assert.Equal(t, all, resolve(t, n.client(t, []string{ns1})), "tried for ever, with bounded pauses")
	})
}

// What its clients had is kept for as long as a lease may last, and no longer.
func TestL13_DeadOnesGoInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, NewRegistry())
		c := n.client(t, []string{ns1})
		stop := register(t, n.client(t, []string{ns1}), "a:1")
		register(t, n.client(t, []string{ns1}), "b:1")
		synctest.Wait()
		require.Equal(t, []string{"a:1", "b:1"}, resolve(t, c))

		start := time.Now()
		n.serve(t, ns1, NewRegistry())
		stop() // it is told, but never knew
		for time.Since(start) < DefaultLease {
			require.Equal(t, []string{"a:1", "b:1"}, resolve(t, c))
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"b:1"}, resolve(t, c))
	})
}

// Who looks at the list finds that the name server is a new one, and registers at once.
func TestL13_RegistersAtOnceWhenItLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, NewRegistry())
		c := n.client(t, []string{ns1}, WithLease(time.Hour))
		register(t, c, "a:1")
		synctest.Wait()
		require.Equal(t, []string{"a:1"}, resolve(t, c))
		time.Sleep(time.Minute)

		again := NewRegistry()
		n.serve(t, ns1, again)
		require.Equal(t, []string{"a:1"}, resolve(t, c))
		time.Sleep(anewSpread)
		require.Equal(t, []string{"a:1"}, addresses(again))
	})
}

func addresses(r *Registry) (addrs []string) {
	list, _ := r.leases.list()
	for _, s := range list.Servers {
		addrs = append(addrs, s.Address)
	}
	return addrs
}

// Two name servers behind one URL answer in turn: that costs registrations, but
// neither a loop nor a server.
func TestTwoNameServersBehindOneURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		both := []*Registry{NewRegistry(), NewRegistry()}
		var turn, puts atomic.Int64
		n.serve(t, ns1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				puts.Add(1)
			}
			both[turn.Add(1)%2].ServeHTTP(w, r)
		}))
		c := n.client(t, []string{ns1})
		register(t, c, "a:1")
		register(t, c, "b:1")
		synctest.Wait()
		for range 100 {
			time.Sleep(3 * time.Second)
			_ = resolve(t, c)
		}
		assert.Less(t, puts.Load(), int64(300*4), "two servers, 300 s")
	})
}

// Only the registry's own word counts: whole is when every lease of before its
// start must have been renewed or has ended.
func TestL13_IncompleteForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry()
		for range 29 {
			require.True(t, list(t, r).Incomplete)
			require.Equal(t, http.StatusServiceUnavailable, ask(r, http.MethodGet, "/namesrv/addrs").Code, "unknown, not empty")
			time.Sleep(time.Second)
		}
		put(t, r, "a:1", "2m")
		require.Equal(t, "a:1\n", text(t, r))
		for range 90 {
			require.True(t, list(t, r).Incomplete, "others may have leases as long")
			time.Sleep(time.Second)
			put(t, r, "a:1", "30s")
		}
		time.Sleep(time.Second)
		require.False(t, list(t, r).Incomplete)
		time.Sleep(DefaultLease)
		require.Empty(t, text(t, r), "now it is known that there is none")
		put(t, r, "a:1", "1h")
		require.False(t, list(t, r).Incomplete)
	})
}

func TestL13_AListThatIsUnknownIsNoneAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.serve(t, ns1, NewRegistry())
		_, err := n.client(t, []string{ns1}).Resolve(t.Context())
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorContains(t, err, "has just started")
	})
}
