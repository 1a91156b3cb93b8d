package httptransport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/budget"
)

// body is the body of a request, while it is served. It fails, rather than ends,
// after limit bytes, moves its deadline on as bytes come, so that a peer that
// trickles cannot hold the request, and holds a share of the handler's budget for
// what has come and what is made of it.
type body struct {
	w           http.ResponseWriter
	r           io.ReadCloser
	left, limit int64
	deadline    time.Time
	earned      int64 // bytes that have not moved the deadline yet
	share       share
}

// receive returns r with a *body, whether that will be read or not: what a handler
// leaves is read by net/http before the next request, so it has a deadline. It is
// cleared when the body has been read, as it would end a wait. The body, nil where
// r has none, is released when the request is done.
func (h *handler) receive(w http.ResponseWriter, r *http.Request) (*http.Request, *body) {
	if r.ContentLength == 0 {
		return r, nil
	}
	b := &body{w: w, r: r.Body, deadline: time.Now().Add(bodyGrace), share: share{budget: h.memory, source: budget.Source(r.RemoteAddr)}}
	// Not supported outside of an http.Server: then there is no peer to wait for.
	_ = http.NewResponseController(w).SetReadDeadline(b.deadline)
	if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
		beginAnswer(w, 0) // net/http writes "100 Continue" when the body is read
	}
	// A copy: net/http looks at the body of its own request to end the connection well.
	with := *r
	with.Body = b
	return &with, b
}

// release gives back what b holds of the budget, but for what keep bytes take. A
// nil body holds nothing.
func (b *body) release(keep int64) {
	if b != nil {
		b.share.release(keep)
	}
}

// openBody returns r's body to be read, which is refused by its Content-Length
// before it is.
func openBody(w http.ResponseWriter, r *http.Request, limit int64) (*body, error) {
	if r.ContentLength > limit {
		w.Header()[hConnection] = valueClose // the rest is not read
		return nil, tooLarge(limit)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, diamond.Errorf(diamond.ErrInvalid, "content-encoding: only identity is taken")
	}
	b, ok := r.Body.(*body)
	if !ok { // there is none
		b = &body{w: w, r: http.NoBody}
	}
	b.left, b.limit = limit, limit
	return b, nil
}

func tooLarge(limit int64) error {
	return diamond.Errorf(diamond.ErrTooLarge, "body: more than %d bytes", limit)
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
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
	if err := b.hold(int64(n)); err != nil {
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
func (b *body) Close() error { return b.r.Close() }

// hold has b hold n bytes more of the budget, or fails with ErrOverloaded.
func (b *body) hold(n int64) error { return b.share.hold(n) }

// errSlowBody is answered as 408.
var errSlowBody = fmt.Errorf("%w: %w", diamond.ErrInvalid, os.ErrDeadlineExceeded)

// end returns why the body could not be read; nil is its end. Where there is
// an error the rest is not waited for: the connection is closed after the answer.
func (b *body) end(err error) error {
	var own *diamond.Error
	switch {
	case err == nil:
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{})
		return nil
	case errors.As(err, &own):
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &diamond.Error{Err: errSlowBody, Detail: "body: did not arrive in time"}
	default:
		err = diamond.Errorf(diamond.ErrInvalid, "body: ended before its length, or is not well-formed")
	}
	b.w.Header()[hConnection] = valueClose
	return err
}
