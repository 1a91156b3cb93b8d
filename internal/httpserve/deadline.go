package httpserve

import (
	"net/http"
	"time"
)

// The time that one peer has to send a body or to read an answer: a grace, and as
// long as its bytes take at the slowest rate.
const (
	bodyGrace = 10 * time.Second
	// answerGrace is longer than bodyGrace: net/http reads what is left of a small
	// body before it writes the answer.
	answerGrace = 15 * time.Second
	slowestRate = 64 << 10 // bytes a second
)

// BeginAnswer sets the deadline of an answer of size bytes. Every answer begins with
// it, however small: the socket's buffer may be full of earlier answers that the peer
// has not read.
func BeginAnswer(w http.ResponseWriter, size int64) {
	allowed := answerGrace + time.Duration(size/slowestRate)*time.Second
	// Not supported outside of an http.Server: then there is no peer to wait for.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed))
}

// beginRead is BeginAnswer for the answer to a read, which does not wait. A small answer
// keeps the deadline that the server's WriteTimeout has set, because setting another one
// is a large part of the cost of a read.
func beginRead(w http.ResponseWriter, r *http.Request, size int64) {
	if size > smallAnswer || r.ProtoMajor > 1 || !hasWriteTimeout(r) {
		BeginAnswer(w, size)
	}
}

// endAnswer writes the rest of an answer within its deadline, and clears the deadline,
// because it would end a later answer of another handler on the connection.
func endAnswer(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 || hasWriteTimeout(r) {
		return // a stream has its own deadline, and the server sets one for each request
	}
	control := http.NewResponseController(w)
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{})
}

// beginRequest clears the deadline that the server's WriteTimeout has set for a
// request over HTTP/2. It would end a poll that waits; over HTTP/1 only a write does.
func beginRequest(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor > 1 && hasWriteTimeout(r) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	}
}

func hasWriteTimeout(r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && server.WriteTimeout > 0
}
