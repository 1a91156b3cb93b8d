package transport_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// Clients poll while their servers are restarted one after the other. No server
// is left without clients for long: those that have moved spread again.
func TestBalance_ClientsSpreadAgainAfterARollingRestart(t *testing.T) {
	const n = 300
	addrs := []string{"a", "b", "c"}
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, addrs...)
		keys := []conf.Key{conf.NewKey("", "k")}
		for range n {
			b := c.balance(transport.Static(addrs...))
			go func() {
				for {
					_, err := b.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Wait: 25 * time.Second})
					switch {
					case t.Context().Err() != nil:
						return
					case err != nil:
						time.Sleep(time.Second)
					}
				}
			}()
		}
		parked := func() (counts []int) {
			synctest.Wait()
			for _, addr := range addrs {
				counts = append(counts, c.srv[addr].Status().Waiters)
			}
			return counts
		}
		time.Sleep(time.Minute)
		t.Log("before:", parked())
		for _, addr := range addrs {
			c.faulty[addr].Fail(conf.Errorf(conf.ErrUnavailable, "restarting"))
			time.Sleep(time.Minute) // which all polls that are parked there end in
			c.faulty[addr].Heal()
			time.Sleep(time.Minute)
		}
		counts := parked()
		t.Log("after the restarts:", counts)
		assert.Less(t, counts[2], n/20, "does the last one to restart begin without clients?")
		time.Sleep(46 * time.Minute)
		counts = parked()
		t.Log("45 minutes later:", counts)
		for i, addr := range addrs {
			assert.InDelta(t, n/len(addrs), counts[i], 45, fmt.Sprintf("clients of %s; 5 times the deviation of an even choice", addr))
		}
	})
}

// Clients of a server that goes choose among all others, not its neighbour alone.
func TestBalance_TheNextServerIsARandomOne(t *testing.T) {
	next := map[string]int{}
	for range 60 {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, "a", "b", "c")
			b := c.balance(transport.Static("a", "b", "c"))
			since := map[string]int{}
			require.NoError(t, get(b))
			was := c.asked(since)[0]
			c.faulty[was].Fail(conf.Errorf(conf.ErrUnavailable, "down"))
			require.NoError(t, get(b))
			c.asked(since)
			require.NoError(t, get(b))
			next[was+c.asked(since)[0]]++
		})
	}
	assert.Len(t, next, 6, "from each server to each: %v", next)
}
