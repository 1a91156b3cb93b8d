package main

import (
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// moving is a resolver of one server, which moves.
type moving struct{ addr atomic.Value }

func (m *moving) Resolve(context.Context) ([]string, error) {
	return []string{m.addr.Load().(string)}, nil
}

var restoredGeneration = regexp.MustCompile(`, generation (\d+)\n`)

// S24: a store was restored under a clock that was ten years ahead, and then
// again under the right one. Clients wait for what they have seen; the server's
// log names it, and a restore above it is what they go on with.
func TestS24_RestoredUnderAWrongClock(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", data)
	d.must("publish", "g/a", writeFile(t, "backed up"))
	backup := filepath.Join(dir, "backup")
	out := invoke(t, "backup", data, backup)
	require.Equal(t, exitOK, out.code, out.stderr)

	resolver := new(moving)
	restore := func(name string, args ...string) (generation string) {
		t.Helper()
		d.terminate()
		data := filepath.Join(dir, name)
		out := invoke(t, append([]string{"restore", backup, data}, args...)...)
		require.Equal(t, exitOK, out.code, out.stderr)
		d = start(t, "server", "--listen", "127.0.0.1:0", "--data", data)
		resolver.addr.Store(strings.TrimPrefix(d.server, "http://"))
		return restoredGeneration.FindStringSubmatch(out.stdout)[1]
	}
	ahead := strconv.FormatInt(time.Now().AddDate(10, 0, 0).UnixMicro(), 10) // what such a clock gives
	seen := restore("ahead", "--above", ahead)
	wire := transport.NewBalancer(resolver, httptransport.Dialer())
	defer wire.Close()
	client, err := diamond.NewClient(wire)
	require.NoError(t, err)
	defer client.Close()
	var value atomic.Value
	_, err = client.Subscribe(diamond.NewKey("g", "a"), diamond.ListenerFunc(func(_ context.Context, c diamond.Config) error {
		value.Store(c.Content)
		return nil
	}))
	require.NoError(t, err)
	delivered := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return value.Load() == want }, 2*time.Minute, 10*time.Millisecond, "%v", value.Load())
	}
	delivered("backed up")
	d.must("publish", "g/a", writeFile(t, "seen"))
	delivered("seen")

	restore("right")
	d.must("publish", "g/a", writeFile(t, "not delivered"))
	require.Eventually(t, func() bool {
		return strings.Contains(d.stderr.String(), "a client names a generation of the store that is newer")
	},
		2*time.Minute, 10*time.Millisecond)
	assert.Contains(t, d.stderr.String(), `"generation":`+seen)
	assert.Equal(t, "seen", value.Load())

	restore("above", "--above", seen)
	d.must("publish", "g/a", writeFile(t, "delivered"))
	delivered("delivered")

	out = invoke(t, "restore", "--above", "-1", backup, filepath.Join(dir, "none"))
	assert.Equal(t, exitUsage, out.code, out.stderr)
}
