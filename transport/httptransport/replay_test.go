package httptransport_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/memnet"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// recordingProxy keeps what a server answered, as bytes.
type recordingProxy struct {
	t      *testing.T
	to     string
	answer []byte
}

func (p *recordingProxy) transport() *httptransport.Transport {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(p.t, err)
	go func() {
		defer func() { _ = l.Close() }()
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		buf := make([]byte, 64<<10)
		for {
			n, err := far.Read(buf)
			p.answer = append(p.answer, buf[:n]...)
			if _, werr := near.Write(buf[:n]); err != nil || werr != nil {
				_ = near.Close()
				return
			}
		}
	}()
	tr := dial(p.t, l.Addr().String(), patient)
	p.t.Cleanup(tr.Close)
	return tr
}

// length returns the length that the recorded answer says it has.
func (p *recordingProxy) length() int {
	const name = "Content-Length: "
	at := bytes.Index(p.answer, []byte(name))
	rest := p.answer[at+len(name):]
	n, err := strconv.Atoi(string(rest[:bytes.IndexByte(rest, '\r')]))
	require.NoError(p.t, err)
	return n
}

// replayServer answers every request with the same bytes, cut off somewhere.
type replayServer struct {
	answer []byte
	cut    *atomic.Int64
}

func (s *replayServer) transport(t *testing.T) *httptransport.Transport {
	p := memnet.Listen()
	t.Cleanup(func() { _ = p.Close() })
	go func() {
		for {
			conn, err := p.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	client, network := clientOf(p)
	network.DisableKeepAlives = true
	return dial(t, "127.0.0.1:1", httptransport.WithHTTPClient(client), patient)
}

func (s *replayServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	if req, err := http.ReadRequest(r); err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = conn.Write(s.answer[:s.cut.Load()])
	}
}
