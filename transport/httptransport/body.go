package httptransport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// limitBody prepares the reading of a body of at most limit bytes: refused by
// its Content-Length before it is read, cut off where it has none, and given a
// deadline, so that a peer that trickles cannot hold the request. done must be
// called when the body has been read: a deadline left behind would end a wait.
func limitBody(w http.ResponseWriter, r *http.Request, limit int64) (body io.Reader, done func(), err error) {
	if r.ContentLength > limit {
		w.Header()[hConnection] = valueClose // the rest is not read
		return nil, nil, tooLarge(limit)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, nil, diamond.Errorf(diamond.ErrInvalid, "content-encoding: only identity is taken")
	}
	if r.ContentLength == 0 {
		return http.NoBody, func() {}, nil
	}
	control := http.NewResponseController(w)
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	_ = control.SetReadDeadline(time.Now().Add(allowance(size))) // not supported outside a server: then there is no peer to wait for
	return &limitedBody{r.Body, limit, limit}, func() { _ = control.SetReadDeadline(time.Time{}) }, nil
}

func tooLarge(limit int64) error {
	return diamond.Errorf(diamond.ErrTooLarge, "body: more than %d bytes", limit)
}

// limitedBody fails, rather than ends, after limit bytes.
type limitedBody struct {
	r           io.Reader
	left, limit int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
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
	return n, err
}

// readBody reads a body of at most limit bytes whole.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, done, err := limitBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	defer done()
	if n := r.ContentLength; n >= 0 && n <= 64<<10 {
		b := make([]byte, n)
		_, err := io.ReadFull(body, b)
		return b, bodyError(w, err)
	}
	b, err := io.ReadAll(body)
	return b, bodyError(w, err)
}

// errSlowBody is answered as 408.
var errSlowBody = fmt.Errorf("%w: %w", diamond.ErrInvalid, os.ErrDeadlineExceeded)

// bodyError says why a body could not be read. What was not read is not
// waited for: the connection is closed after the answer.
func bodyError(w http.ResponseWriter, err error) error {
	if err == nil {
		return nil
	}
	var own *diamond.Error
	switch {
	case errors.As(err, &own):
		if errors.Is(err, diamond.ErrTooLarge) {
			w.Header()[hConnection] = valueClose
		}
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header()[hConnection] = valueClose
		return &diamond.Error{Err: errSlowBody, Detail: "body: did not arrive in time"}
	}
	w.Header()[hConnection] = valueClose
	return diamond.Errorf(diamond.ErrInvalid, "body: ended before its length, or is not well-formed")
}

// bound gives the answer of size bytes a deadline where it may not fit into
// the socket's buffer, so that a peer that does not read cannot hold it. The
// function returned is called after the answer has been written.
func bound(w http.ResponseWriter, r *http.Request, size int64, waited bool) func() {
	if size <= smallAnswer && !waited {
		return func() {}
	}
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	timed := ok && server.WriteTimeout > 0
	if size <= smallAnswer && !timed {
		return func() {}
	}
	// A WriteTimeout counts from the request on: after a wait it has passed.
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(allowance(size)))
	if timed {
		return func() {} // the server sets its own for the next request
	}
	return func() {
		// A deadline left behind would end a later answer on this connection.
		_ = control.Flush()
		_ = control.SetWriteDeadline(time.Time{})
	}
}
