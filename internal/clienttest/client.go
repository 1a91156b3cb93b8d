package clienttest

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// Two keys of the default group.
var (
	KeyA = conf.NewKey("", "a.json")
	KeyB = conf.NewKey("", "b.json")
)

// NewClient returns a client that is closed when the test ends. In a synctest bubble this
// also tests that Close ends all goroutines.
func NewClient(t testing.TB, transport diamond.Transport, opts ...diamond.ClientOption) diamond.Client {
	t.Helper()
	client, err := diamond.NewClient(transport, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// Get is a Get that must succeed.
func Get(t testing.TB, client diamond.Client, key conf.Key) conf.Config {
	t.Helper()
	config, err := client.Get(t.Context(), key)
	require.NoError(t, err)
	return config
}

// Subscribe subscribes l, until the test ends.
func Subscribe(t testing.TB, client diamond.Client, key conf.Key, l diamond.Listener) *diamond.Subscription {
	t.Helper()
	sub, err := client.Subscribe(key, l)
	require.NoError(t, err)
	t.Cleanup(sub.Stop)
	return sub
}

// Settle waits for 100 ms of the bubble's time, and until all goroutines are blocked.
func Settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

// SnapshotOf returns the snapshot that a client that has read key from c would store.
func SnapshotOf(c *Centre, key conf.Key) conf.Snapshot {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	return conf.Snapshot{Entry: c.Entries[key], Position: c.At}
}

// KeyN returns the key of number i in a group of many.
func KeyN(i int) conf.Key { return conf.NewKey("many", "key-"+strconv.Itoa(i)) }
