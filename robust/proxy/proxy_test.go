package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo is a server that answers with what it is sent, through a proxy.
func echo(t *testing.T, network Network) *Proxy {
	t.Helper()
	server, err := network.Listen("")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	ln, err := network.Listen("")
	require.NoError(t, err)
	p := New(ln, func(ctx context.Context) (net.Conn, error) { return network.Dial(ctx, server.Addr().String()) })
	t.Cleanup(p.Close)
	return p
}

// ask sends a word and reads the answer.
func ask(conn net.Conn, word string) (string, error) {
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer := make([]byte, len(word))
	n, err := io.ReadFull(conn, answer)
	return string(answer[:n]), err
}

func TestConditionsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := NewMemory()
		p := echo(t, network)
		dial := func() net.Conn {
			conn, err := network.Dial(t.Context(), p.Addr())
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		conn := dial()
		good := func(wants time.Duration) {
			t.Helper()
			began := time.Now()
			answer, err := ask(conn, "hello")
			require.NoError(t, err)
			require.Equal(t, "hello", answer)
			require.Equal(t, wants, time.Since(began))
		}
		good(0)
		p.Set(Conditions{Latency: time.Second})
		good(2 * time.Second)
		p.Set(Conditions{Bandwidth: 5})
		good(2 * time.Second)
		p.Set(Conditions{Piece: 1})
		good(0)

		for _, stalled := range []Conditions{{StallUp: true}, {StallDown: true}} {
			p.Set(stalled)
			time.AfterFunc(time.Minute, func() { p.Set(Conditions{}) })
			good(time.Minute) // it arrives once the way is free
		}
		p.Set(Conditions{Limit: 3})
		conn = dial()
		answer, err := ask(conn, "hello")
		require.Error(t, err)
		assert.Equal(t, "hel", answer[:3])

		p.Set(Conditions{Refuse: true})
		_, err = ask(dial(), "hello")
		require.Error(t, err)
		p.Set(Conditions{})
		conn = dial()
		good(0)
		p.Cut()
		_, err = ask(conn, "hello")
		require.Error(t, err)

		conn = dial()
		good(0)
		p.Swallow()
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = ask(conn, "hello")
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "nobody is told: %v", err)
		conn = dial()
		good(0) // a new one is a good one
	})
}

func TestOnTheRealNetwork(t *testing.T) {
	p := echo(t, Loopback{})
	conn, err := Loopback{}.Dial(t.Context(), p.Addr())
	require.NoError(t, err)
	defer conn.Close()
	answer, err := ask(conn, "hello")
	require.NoError(t, err)
	assert.Equal(t, "hello", answer)
	assert.Equal(t, 1, p.Len())
	p.Cut()
	_, err = ask(conn, "hello")
	require.Error(t, err)
}
