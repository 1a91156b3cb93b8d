package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/certtest"
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

		silent := func() {
			t.Helper()
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Hour)))
			_, err := ask(conn, "hello")
			require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "nobody is told: %v", err)
		}
		p.Set(Conditions{Silent: true})
		silent()
		conn = dial()
		silent() // a new one too
		p.Set(Conditions{})
		silent() // and for good
		conn = dial()
		good(0)
	})
}

func TestFrontEndsTLSAndSpeaksHTTP2(t *testing.T) {
	authority := certtest.NewAuthority(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Host)
	}))
	defer server.Close()
	front, err := NewFront(Loopback{}, authority.TLS(t, Host()), func(ctx context.Context) (net.Conn, error) {
		return Loopback{}.Dial(ctx, server.Listener.Addr().String())
	})
	require.NoError(t, err)
	defer front.Close()
	client := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool()},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+front.Addr(), nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, 2, res.ProtoMajor)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 "+front.Addr(), string(body), "the server speaks what it does, and is told whom the client asked")
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
