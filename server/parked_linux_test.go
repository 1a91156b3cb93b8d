//go:build !race

// The frames of the race detector are larger than those of which this test counts the bytes.

package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A poll that waits, with rights or without, has a stack of 4 KiB, which neither what is below
// the wait nor what was called before it makes double. The goroutine by which net/http notices
// that a peer has gone has 2 or 4 KiB.
func TestStacksOfParkedPolls(t *testing.T) {
	const limit = 9 << 10
	t.Run("with rights", func(t *testing.T) {
		n := newGovernedNode(t, tokenOf("reader"), grantsOn(govern.NamespaceScope("public"), "token:reader", govern.RoleReader))
		assert.Less(t, stackOfPoll(t, n.centre, "Authorization: Bearer "+tokenSecret("reader")+"\r\n"), limit)
	})
	t.Run("without rights", func(t *testing.T) {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		assert.Less(t, stackOfPoll(t, srv, ""), limit)
	})
}

// stackOfPoll returns how many bytes of stacks each poll takes of many that wait at a node which
// hosts srv. Head is a part of their requests.
func stackOfPoll(t *testing.T, srv diamond.Server, head string) int {
	t.Helper()
	const polls = 300
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- NewNode(srv, WithListener(listener), WithLogger(slog.New(slog.DiscardHandler))).Run(ctx)
	}()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	body := fmt.Sprintf(`{"keys":["a"],"position":%q,"wait":"1m"}`, srv.Status().Position)
	request := fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n%s\r\n%s", len(body), head, body)

	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection changes the size with which stacks begin
	before := stackBytes()
	for i := range polls { // one by one, because each needs more stacks until it waits
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		for begun := time.Now(); srv.Status().Waiters == i; time.Sleep(100 * time.Microsecond) { // real time: for a poll over a socket
			require.Less(t, time.Since(begun), time.Minute, "the poll does not wait")
		}
	}
	return (stackBytes() - before) / polls
}

// stackBytes returns the number of bytes of the stacks of all goroutines.
func stackBytes() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}
