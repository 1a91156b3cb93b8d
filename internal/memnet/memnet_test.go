package memnet_test

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/memnet"
)

func TestListener(t *testing.T) {
	l := memnet.Listen()
	go func() {
		conn, err := l.Accept()
		if assert.NoError(t, err) {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	conn, err := l.DialContext(t.Context(), "tcp", "anywhere:1")
	require.NoError(t, err)
	said, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(said))

	ended, end := context.WithCancel(t.Context())
	end()
	_, err = l.DialContext(ended, "", "")
	assert.ErrorIs(t, err, context.Canceled, "nobody accepts")

	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "again")
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = l.DialContext(t.Context(), "", "")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}
