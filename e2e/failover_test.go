package e2e

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
)

// A listener whose server dies is told by the next one, at once.
func TestDefect_C4_ListenersLeaveADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		a, b := runNode(t, store), runNode(t, store)
		defer a.end()
		defer b.end()
		toA, toB := newLink(), newLink()
		toA.to(a.listener) // the client starts with a
		links := map[string]*link{"a:1210": toA, "b:1210": toB}
		over := transport.NewBalancer(transport.Static("a:1210", "b:1210"), func(addr string) (diamond.Transport, error) {
			return links[addr].transport(t), nil
		})
		t.Cleanup(over.Close)
		a.publish("a", "1")
		client := newClient(t, over)
		r := follow(t, client, "a")
		time.Sleep(40 * time.Second)
		require.Equal(t, []string{"1"}, r.contents())
		require.Equal(t, 1, a.srv.Status().Waiters)

		toB.to(b.listener)
		toA.to(nil)
		toA.cut()
		b.publish("a", "2")
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"1", "2"}, r.contents())
		b.publish("a", "3")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"1", "2", "3"}, r.contents())
		assert.Equal(t, 1, b.srv.Status().Waiters, "it has moved")
	})
}

// A deletion is told to those who listen, at whatever server, and is one after
// restarts too.
func TestDefect_S15_DeletionsAreToldAndStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		a, b := runNode(t, store), runNode(t, store)
		toA, toB := newLink(), newLink()
		toA.to(a.listener)
		toB.to(b.listener)
		a.publish("a", "1")
		at, other := follow(t, newClient(t, toA.transport(t)), "a"), follow(t, newClient(t, toB.transport(t)), "a")
		time.Sleep(5 * time.Second)
		a.remove("a")
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"1", "-"}, at.contents())
		assert.Equal(t, []string{"1", "-"}, other.contents())
		a.end()
		b.end()

		a = runNode(t, store)
		defer a.end()
		toA.to(a.listener)
		time.Sleep(time.Minute)
		_, err := newClient(t, toA.transport(t)).Get(t.Context(), key("a"))
		require.ErrorIs(t, err, diamond.ErrNotFound)
		assert.Equal(t, []string{"1", "-"}, at.contents(), "nobody is told of it again")
	})
}
