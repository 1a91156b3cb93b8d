package httpserve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

// Body is the body of a request while it is served. It fails, rather than ends,
// after limit bytes. It extends its deadline as bytes arrive, so that a peer that
// sends slowly cannot hold the request. It takes memory of the handler's budget for
// the bytes that have arrived and for the values that are made of them.
type Body struct {
	w           http.ResponseWriter
	r           io.ReadCloser
	left, limit int64
	deadline    time.Time
	earned      int64 // bytes that have not extended the deadline yet
	memory      bodyMemory
}

// receive returns r with a *Body, whether that will be read or not. The body has a
// deadline even if the route does not read it, because net/http reads the rest before the
// next request. The deadline is cleared when the body has been read, because it would end
// a wait. The body is nil if r has none. The caller releases it when the request is done.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (*http.Request, *Body) {
	if r.ContentLength == 0 {
		return r, nil
	}
	b := &Body{w: w, r: r.Body, deadline: time.Now().Add(bodyGrace), memory: bodyMemory{budget: h.Memory, source: budget.Source(r.RemoteAddr)}}
	// Not supported outside of an http.Server: then there is no peer to wait for.
	_ = http.NewResponseController(w).SetReadDeadline(b.deadline)
	if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
		BeginAnswer(w, 0) // net/http writes "100 Continue" when the body is read
	}
	// A copy, because net/http needs the body of its own request to end the connection well.
	with := *r
	with.Body = b
	return &with, b
}

// release gives back the memory of b, except for keep bytes. A nil body has none.
func (b *Body) release(keep int64) {
	if b != nil {
		b.memory.release(keep)
	}
}

// OpenBody returns the body of r, to be read and ended. A body whose Content-Length
// is above limit is refused before it is read.
func OpenBody(w http.ResponseWriter, r *http.Request, limit int64) (*Body, error) {
	if r.ContentLength > limit {
		CloseConnection(w.Header()) // the rest is not read
		return nil, tooLarge(limit)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, conf.Errorf(conf.ErrInvalid, "content-encoding: only identity is accepted")
	}
	b, ok := r.Body.(*Body)
	if !ok { // the request has none
		b = &Body{w: w, r: http.NoBody}
	}
	b.left, b.limit = limit, limit
	return b, nil
}

func tooLarge(limit int64) error {
	return conf.Errorf(conf.ErrTooLarge, "body: more than %d bytes", limit)
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, tooLarge(b.limit)
	}
	if err := b.Hold(int64(n)); err != nil {
		return n, err
	}
	if b.earned += int64(n); b.earned >= slowestRate {
		b.deadline = b.deadline.Add(time.Duration(b.earned/slowestRate) * time.Second)
		b.earned %= slowestRate
		_ = http.NewResponseController(b.w).SetReadDeadline(b.deadline)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *Body) Close() error { return b.r.Close() }

// Hold takes n more bytes of the budget for b, or fails with ErrOverloaded. They are
// given back when the request is done or begins to wait.
func (b *Body) Hold(n int64) error { return b.memory.hold(n) }

// Hold is [Body.Hold] of the body of r. It does nothing if r has none.
func Hold(r *http.Request, n int64) error {
	if b, ok := r.Body.(*Body); ok {
		return b.Hold(n)
	}
	return nil
}

// buffers holds buffers for reuse. Most bodies fit into one.
var buffers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// ReadBuffered calls read with a buffer in front of b, and returns the result of
// [Body.End] for its error.
func (b *Body) ReadBuffered(read func(*bufio.Reader) error) error {
	buffer := buffers.Get().(*bufio.Reader)
	defer buffers.Put(buffer)
	buffer.Reset(b)
	defer buffer.Reset(nil)
	return b.End(read(buffer))
}

// errSlowBody is answered with status 408.
var errSlowBody = fmt.Errorf("%w: %w", conf.ErrInvalid, os.ErrDeadlineExceeded)

// End ends the reading of the body. Err is the error of reading it, or nil if it was read
// to its end. End returns the error for the peer. After an error the server does not wait
// for the rest of the body: it closes the connection after the answer.
func (b *Body) End(err error) error {
	var own *conf.Error
	switch {
	case err == nil:
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{})
		return nil
	case errors.As(err, &own):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &conf.Error{Err: errSlowBody, Detail: "body: did not arrive in time"}
	default:
		err = conf.Errorf(conf.ErrInvalid, "body: ended too early, or is not well-formed")
	}
	CloseConnection(b.w.Header())
	return err
}
