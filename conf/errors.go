package conf

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The errors that callers test for, with [errors.Is]. Every error of this module that has
// one of these meanings wraps the sentinel, at both ends of every transport.
var (
	// ErrNotFound means that the key, or the version of it, does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that a condition of the change set (IfRevision, Checks) does not hold.
	ErrConflict = errors.New("conflict")
	// ErrInvalid means that the request breaks a rule. The message names the field and the rule.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge means that a content or a request is above its limit. The message has the limit.
	ErrTooLarge = errors.New("too large")
	// ErrCompacted means that the requested history is no longer kept. Start again from the present state.
	ErrCompacted = errors.New("compacted")
	// ErrEpoch means that the given position is not one of this history, which has lost
	// changes since, or never had them. Start again from the present state.
	ErrEpoch = errors.New("not a position of this history")
	// ErrOtherStore means that the position, replica or snapshot belongs to another store.
	ErrOtherStore = errors.New("another store")
	// ErrBehind means that this server has not reached the position that the caller has seen.
	ErrBehind = errors.New("behind")
	// ErrUnavailable means that the server or its storage is not ready or cannot be reached.
	// Nothing was done. Try again, or try another server.
	ErrUnavailable = errors.New("unavailable")
	// ErrOverloaded means that the server refused the request to limit its load. Nothing was
	// done. [Error.RetryAfter] says when to try again.
	ErrOverloaded = errors.New("overloaded")
	// ErrUnknownOutcome means that the change set may or may not have been committed. Send
	// it again under the same RequestID to find out.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrNoSpace means that the storage's disk is full or read-only. Nothing was done.
	ErrNoSpace = errors.New("no space")
	// ErrCorrupt means that stored bytes do not match their checksum or their chain.
	ErrCorrupt = errors.New("corrupt")
	// ErrInUse means that another process uses the data directory.
	ErrInUse = errors.New("in use")
	// ErrDenied means that the caller has no right to do this. Namespaces that begin with
	// "_" are the system's: servers deny their keys to all callers.
	ErrDenied = errors.New("denied")
	// ErrUnauthenticated means that the proof of identity that came with the request is not
	// valid: it is unknown, expired, malformed, given twice, or from a wrong address. Nothing
	// was done, and nothing is said about keys. A request without a proof is anonymous, which
	// is no error.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrClosed means that the server, client or storage has been closed.
	ErrClosed = errors.New("closed")
)

// Error adds the operation and the key to a sentinel. All errors that a client or server
// returns, other than those of the caller's context, can be unwrapped to it with
// [errors.As].
type Error struct {
	Op     string // the operation, such as "fetch" or "commit"
	Key    Key    // zero if the error does not concern one key
	Err    error  // the sentinel, or an error that wraps one
	Detail string // the broken rule or another reason, in words; never a content

	// RetryAfter is the time to wait before the next attempt, with ErrOverloaded and
	// ErrUnavailable, or 0 if the server did not say.
	RetryAfter time.Duration
	// Current is the revision of the key whose condition did not hold, with ErrConflict, or
	// 0 if the key does not exist.
	Current int64
	// Remote says whether a server returned the error. If it is false, no server could be
	// asked.
	Remote bool
}

// Error returns "diamond: op key: sentinel: detail".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("diamond: ")
	if e.Op != "" {
		b.WriteString(e.Op)
		if e.Key.DataID != "" {
			b.WriteByte(' ')
			// A key that breaks the grammar is quoted, so that a log line stays one line.
			if e.Key.valid() {
				b.WriteString(e.Key.String())
			} else {
				b.WriteString(Clip(e.Key.String()))
			}
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an *Error that wraps sentinel, with the formatted detail.
// Implementers of storages and transports use it; applications need not.
func Errorf(sentinel error, format string, args ...any) *Error {
	return &Error{Err: sentinel, Detail: fmt.Sprintf(format, args...)}
}

// Invalidf returns an error that wraps [ErrInvalid], with the formatted detail.
func Invalidf(format string, args ...any) error { return Errorf(ErrInvalid, format, args...) }

// WithOp returns err with op and key, unless it has an operation already. It does not
// change the *Error that it is given, because others may share that.
func WithOp(op string, key Key, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && err == error(e) {
		c := *e
		if c.Op == "" {
			c.Op, c.Key = op, key
		}
		return &c
	}
	return &Error{Op: op, Key: key, Err: err}
}
