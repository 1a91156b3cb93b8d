package conf

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What callers branch on, with [errors.Is]. Every error of this module that
// says one of these things wraps its sentinel, on both ends of every transport.
var (
	// ErrNotFound: no such key, or no such version of it.
	ErrNotFound = errors.New("not found")
	// ErrConflict: a condition of the change set (IfRevision, Checks) does not hold.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the request breaks a rule; the message names field and rule.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge: a content or a request is over its limit; the message has the number.
	ErrTooLarge = errors.New("too large")
	// ErrCompacted: the history asked for is no longer kept. Start again from the present state.
	ErrCompacted = errors.New("compacted")
	// ErrEpoch: the position given is not one of this history, which has lost
	// changes since, or never had them. Start again from the present state.
	ErrEpoch = errors.New("not a position of this history")
	// ErrOtherStore: the position, replica or snapshot belongs to another store.
	ErrOtherStore = errors.New("another store")
	// ErrBehind: this server has not reached the position that the caller has seen.
	ErrBehind = errors.New("behind")
	// ErrUnavailable: not ready, not reachable, or its storage is; nothing was done. Try again, or elsewhere.
	ErrUnavailable = errors.New("unavailable")
	// ErrOverloaded: shed; nothing was done. [Error.RetryAfter] says when to come back.
	ErrOverloaded = errors.New("overloaded")
	// ErrUnknownOutcome: the change set may or may not have been committed.
	// Sending it again under the same RequestID settles it.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrNoSpace: the storage's disk is full or read-only; nothing was done.
	ErrNoSpace = errors.New("no space")
	// ErrCorrupt: stored bytes fail their checksum or their chain.
	ErrCorrupt = errors.New("corrupt")
	// ErrInUse: another process holds the data directory.
	ErrInUse = errors.New("in use")
	// ErrDenied: who asks has no right to, such as to the keys of a namespace that
	// begins with "_", which are the system's.
	ErrDenied = errors.New("denied")
	// ErrClosed: used after Close.
	ErrClosed = errors.New("closed")
)

// Error adds to a sentinel what was being done and to which key. All errors
// that a client or server returns, other than those of the caller's
// context, can be unwrapped to it with [errors.As].
type Error struct {
	Op     string // what was asked, such as "fetch" or "commit"
	Key    Key    // zero where no single key is meant
	Err    error  // the sentinel, or an error that wraps one
	Detail string // the rule that was broken, in words; no content ever

	// RetryAfter is how long to stay away, with ErrOverloaded and ErrUnavailable; 0: not said.
	RetryAfter time.Duration
	// Current is the revision that a condition met instead, with ErrConflict; 0: none.
	Current int64
	// Remote is true when a server said so, false when the server could not be asked.
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
			// Quoted only where the key is not a good one, so that a log line stays one line.
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

// WithOp returns err with op and key filled in where they are not yet. It
// never changes the *Error it is given, which others may share.
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
