package e2e

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dnsServer answers questions of the DNS on loopback.
type dnsServer struct {
	conn  net.PacketConn
	mu    sync.Mutex
	names map[string][]string // guarded by mu; IPv4 addresses by name; others do not exist
	mute  bool                // guarded by mu; questions are not answered
	asked int                 // guarded by mu

	clients []net.Conn // guarded by mu; on which questions may wait for an answer
	closed  bool       // guarded by mu
}

func newDNS(t *testing.T) *dnsServer {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	d := &dnsServer{conn: conn, names: map[string][]string{}}
	var serving sync.WaitGroup
	serving.Go(d.serve)
	t.Cleanup(func() {
		assert.NoError(t, conn.Close())
		serving.Wait()
		// A resolver waits for answers when nobody waits for it any more.
		d.set(func(d *dnsServer) {
			d.closed = true
			for _, c := range d.clients {
				_ = c.Close()
			}
		})
	})
	return d
}

func (d *dnsServer) set(change func(d *dnsServer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *dnsServer) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// dialer resolves names with d and nothing else.
func (d *dnsServer) dialer() *net.Dialer {
	return &net.Dialer{Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "udp4", d.conn.LocalAddr().String())
			if err != nil {
				return nil, err
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.closed {
				_ = conn.Close()
			}
			d.clients = append(d.clients, conn)
			return conn, nil
		},
	}}
}

func (d *dnsServer) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := d.answer(buf[:n]); answer != nil {
			_, _ = d.conn.WriteTo(answer, from)
		}
	}
}

// answer returns the answer to a message with one question (RFC 1035), nil for none.
func (d *dnsServer) answer(query []byte) []byte {
	const header, typeA, nameError = 12, 1, 3
	if len(query) < header {
		return nil
	}
	var labels []string
	at := header
	for at < len(query) && query[at] != 0 {
		end := at + 1 + int(query[at])
		if end > len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:end]))
		at = end
	}
	at += 1 + 4 // the empty label, type and class
	if at > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[at-4:])

	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.mute {
		return nil
	}
	addrs, exists := d.names[strings.ToLower(strings.Join(labels, "."))]
	if kind != typeA {
		addrs = nil
	}
	answer := append([]byte(nil), query[:at]...)
	binary.BigEndian.PutUint16(answer[2:], 0x8180) // an answer, recursion desired and available
	if !exists {
		answer[3] |= nameError
	}
	binary.BigEndian.PutUint16(answer[6:], uint16(len(addrs)))
	binary.BigEndian.PutUint32(answer[8:], 0) // nothing but question and answers
	for _, addr := range addrs {
		answer = append(answer, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the name above, class IN, no time to live
		answer = append(answer, net.ParseIP(addr).To4()...)
	}
	return answer
}
