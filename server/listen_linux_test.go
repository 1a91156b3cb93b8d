package server

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Half-open connections are found out by the kernel's probes: after 15 s, three
// of them, 15 s apart.
func TestN6_KeepAlive(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln, err := (&config{listener: inner}).listen(t.Context())
	require.NoError(t, err)
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer conn.Close()

	probed(t, conn.(*net.TCPConn))
}

// A listener's own TLS is no exception.
func TestN6_KeepAliveUnderTLS(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln, err := (&config{listener: tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{{}}})}).listen(t.Context())
	require.NoError(t, err)
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	conn, err := ln.Accept()
	require.NoError(t, err)
	tcp := conn.(*tls.Conn).NetConn().(*net.TCPConn)
	defer tcp.Close()
	probed(t, tcp)
}

// probed asserts how the kernel probes the other end.
func probed(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		for option, want := range map[int]int{syscall.TCP_KEEPIDLE: 15, syscall.TCP_KEEPINTVL: 15, syscall.TCP_KEEPCNT: 3} {
			got, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, option)
			assert.NoError(t, err)
			assert.Equal(t, want, got)
		}
	}))
}
