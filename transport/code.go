package transport

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
)

// CodeInternal is the code of an error that wraps no sentinel.
const CodeInternal = "internal"

// codes is the only table of errors, their codes on the wire, and HTTP statuses.
// Codes never change. Statuses are for people and proxies, and several codes may
// share one. If an error wraps several of these, the first row counts: an unknown
// outcome stays one whatever caused it.
var codes = []struct {
	err    error
	code   string
	status int
}{
	{conf.ErrUnknownOutcome, "unknown_outcome", 504},
	{conf.ErrNotFound, "not_found", 404},
	{conf.ErrConflict, "conflict", 409},
	{conf.ErrInvalid, "invalid", 400},
	{conf.ErrTooLarge, "too_large", 413},
	{conf.ErrCompacted, "compacted", 410},
	{conf.ErrEpoch, "epoch", 410},
	{conf.ErrOtherStore, "other_store", 421},
	{conf.ErrBehind, "behind", 503},
	{conf.ErrOverloaded, "overloaded", 429},
	{conf.ErrNoSpace, "no_space", 507},
	{conf.ErrCorrupt, "corrupt", 500},
	{conf.ErrInUse, "in_use", 500},
	{conf.ErrDenied, "denied", 403},
	{conf.ErrUnauthenticated, "unauthenticated", 401},
	{conf.ErrClosed, "closed", 503},
	{conf.ErrUnavailable, "unavailable", 503},

	// These end a request whose own context did not end: the server could not answer it.
	{context.DeadlineExceeded, "unavailable", 503},
	{context.Canceled, "unavailable", 503},
}

// Encode returns the wire code and the HTTP status of the first sentinel that err wraps,
// or [CodeInternal] and 500 if it wraps none.
func Encode(err error) (code string, status int) {
	for _, row := range codes {
		if errors.Is(err, row.err) {
			return row.code, row.status
		}
	}
	return CodeInternal, 500
}

// Decode returns the sentinel of a wire code. It returns [conf.ErrUnavailable] for
// [CodeInternal], and for a code that it does not know, which may be of a newer server:
// that server could not answer.
func Decode(code string) error {
	for _, row := range codes {
		if row.code == code {
			return row.err
		}
	}
	return conf.ErrUnavailable
}
