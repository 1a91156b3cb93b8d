package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Types of HTTP/2's frames, a flag, and settings.
const (
	frameHeaders, frameReset, frameSettings = 1, 3, 4
	flagEnd                                 = 5 // of the header, and of the stream
	settingStreams, settingWindow           = 3, 4
	settingFrame, settingHeader             = 5, 6
)

// http2Peer is a peer that speaks HTTP/2 as it likes.
type http2Peer struct {
	conn *tls.Conn
	r    *bufio.Reader
}

// greet has a peer begin on conn with what it allows the server: window bytes of each answer.
func greet(t *testing.T, conn net.Conn, window uint32) *http2Peer {
	t.Helper()
	over := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	require.NoError(t, over.HandshakeContext(t.Context()))
	require.Equal(t, "h2", over.ConnectionState().NegotiatedProtocol)
	p := &http2Peer{over, bufio.NewReader(over)}
	_, err := io.WriteString(over, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, p.send(frameSettings, 0, 0, string(binary.BigEndian.AppendUint32([]byte{0, settingWindow}, window))))
	return p
}

func (p *http2Peer) send(kind, flags byte, stream uint32, payload string) error {
	frame := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	frame = append(binary.BigEndian.AppendUint32(frame, stream), payload...)
	_, err := p.conn.Write(frame)
	return err
}

// get asks for a target on a stream, which has an odd number.
func (p *http2Peer) get(stream uint32, target string) error {
	var header strings.Builder
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "127.0.0.1"}, {":path", target}} {
		header.WriteString("\x00" + string(rune(len(field[0]))) + field[0] + string(rune(len(field[1]))) + field[1])
	}
	return p.send(frameHeaders, flagEnd, stream, header.String())
}

// next returns the next frame of the server's.
func (p *http2Peer) next() (kind byte, stream uint32, payload string, err error) {
	var head [9]byte
	if _, err = io.ReadFull(p.r, head[:]); err != nil {
		return 0, 0, "", err
	}
	body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(p.r, body)
	return head[3], binary.BigEndian.Uint32(head[5:]), string(body), err
}

func serverTLS(t *testing.T) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certtest.NewAuthority(t).TLS(t, "127.0.0.1")}, NextProtos: []string{"h2", "http/1.1"}}
}

// A peer that opens as many streams as it can on a connection has 100 of them, and
// small frames, headers and bodies; others are served.
func TestX19_HTTP2Streams(t *testing.T) {
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	node := server.NewNode(srv, server.WithListener(tls.NewListener(ln, serverTLS(t))))
	go func() { ended <- node.Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		return conn
	}
	evil := greet(t, dial(), 1<<16)
	defer evil.conn.Close()
	kind, _, payload, err := evil.next()
	require.NoError(t, err)
	require.EqualValues(t, frameSettings, kind)
	settings := map[int]uint32{}
	for ; len(payload) >= 6; payload = payload[6:] {
		settings[int(payload[1])] = binary.BigEndian.Uint32([]byte(payload[2:6]))
	}
	assert.EqualValues(t, 100, settings[settingStreams])
	assert.EqualValues(t, 16<<10, settings[settingFrame])
	assert.EqualValues(t, 128<<10, settings[settingWindow])
	assert.LessOrEqual(t, settings[settingHeader], uint32(65<<10))

	const streams = 300
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := uint32(0); i < streams && err == nil; i++ {
			err = evil.get(2*i+1, "/v1/changes?wait=60s")
		}
		sent <- err
	}()
	for refused := 0; refused < streams-100; {
		kind, _, _, err := evil.next()
		require.NoError(t, err)
		if kind == frameReset {
			refused++
		}
	}
	require.NoError(t, <-sent)
	require.Eventually(t, func() bool { return srv.Status().Waiters == 100 }, time.Minute, time.Millisecond)

	good := greet(t, dial(), 1<<16)
	defer good.conn.Close()
	require.NoError(t, good.get(1, "/v1/position"))
	for kind, stream := byte(0), uint32(0); kind != frameHeaders; {
		kind, stream, _, err = good.next()
		require.NoError(t, err)
		require.False(t, kind == frameReset && stream == 1)
	}
}

// Over HTTP/2 too a peer that does not read is given up: one that reads nothing at
// all, one that lets no part of an answer come, and one that does not answer pings
// while it waits.
func TestX20_HTTP2PeersThatDoNotRead(t *testing.T) {
	const size = 1 << 20
	hosting := func(t *testing.T) (r *running, dial func() net.Conn) {
		store := memstore.New()
		srv, err := diamond.NewServer(store)
		require.NoError(t, err)
		listener := memnet.Listen()
		r = hosted(t, srv, server.WithListener(tls.NewListener(listener, serverTLS(t))))
		r.publish(conf.NewKey("g", "large"), strings.Repeat("x", size))
		return r, func() net.Conn {
			conn, err := listener.DialContext(t.Context(), "", "")
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
	}
	const large = "/v1/configs/public/g/large"
	t.Run("nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, dial := hosting(t)
			p := greet(t, dial(), 1<<20)
			require.NoError(t, p.get(1, large))
			time.Sleep(36 * time.Second) // 5 s of them are crypto/tls's to say goodbye
			assert.Error(t, p.get(3, large), "the connection is closed")
		})
	})
	t.Run("no window", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, dial := hosting(t)
			p := greet(t, dial(), 0)
			require.NoError(t, p.get(1, large))
			began := time.Now()
			for kind := byte(0); kind != frameReset; {
				var err error
				kind, _, _, err = p.next()
				require.NoError(t, err)
			}
			assert.LessOrEqual(t, time.Since(began), (15+size>>16)*time.Second)
		})
	})
	t.Run("no pings", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, dial := hosting(t)
			p := greet(t, dial(), 1<<16)
			require.NoError(t, p.get(1, "/v1/changes?wait=90s"))
			began := time.Now()
			for {
				if _, _, _, err := p.next(); err != nil {
					break
				}
			}
			assert.LessOrEqual(t, time.Since(began), 46*time.Second)
		})
	})
}

// A poll over HTTP/2 waits for as long as it asks to.
func TestX20_HTTP2Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		listener := memnet.Listen()
		hosted(t, srv, server.WithListener(tls.NewListener(listener, serverTLS(t))))
		conn, err := listener.DialContext(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		p := greet(t, conn, 1<<16)
		require.NoError(t, p.get(1, "/v1/changes?wait=80s"))
		began := time.Now()
		for kind := byte(0); kind != frameHeaders; {
			var payload string
			kind, _, payload, err = p.next()
			require.NoError(t, err)
			require.NotEqualValues(t, frameReset, kind, "it is not cut off")
			if kind == 6 { // a ping
				require.NoError(t, p.send(6, 1, 0, payload))
			}
		}
		assert.Equal(t, 80*time.Second, time.Since(began))
	})
}
