package transport

import (
	"context"
	"errors"

	diamond "github.com/linnaname/gdiamond"
)

// CodeInternal is the code of an error that wraps no sentinel.
const CodeInternal = "internal"

// codes is the one table between errors, their codes on the wire, and HTTP
// statuses. Codes never change; statuses are for people and proxies, and
// several codes may share one. The first row that an error wraps is its own:
// an unknown outcome stays one whatever caused it.
var codes = []struct {
	err    error
	code   string
	status int
}{
	{diamond.ErrUnknownOutcome, "unknown_outcome", 504},
	{diamond.ErrNotFound, "not_found", 404},
	{diamond.ErrConflict, "conflict", 409},
	{diamond.ErrInvalid, "invalid", 400},
	{diamond.ErrTooLarge, "too_large", 413},
	{diamond.ErrCompacted, "compacted", 410},
	{diamond.ErrEpoch, "epoch", 410},
	{diamond.ErrOtherStore, "other_store", 421},
	{diamond.ErrBehind, "behind", 503},
	{diamond.ErrOverloaded, "overloaded", 429},
	{diamond.ErrNoSpace, "no_space", 507},
	{diamond.ErrCorrupt, "corrupt", 500},
	{diamond.ErrInUse, "in_use", 500},
	{diamond.ErrDenied, "denied", 403},
	{diamond.ErrClosed, "closed", 503},
	{diamond.ErrUnavailable, "unavailable", 503},

	// These end a request whose own context did not end: the server could not answer it.
	{context.DeadlineExceeded, "unavailable", 503},
	{context.Canceled, "unavailable", 503},
}

// Encode returns the wire code and the HTTP status of err: those of the first
// sentinel that it wraps, [CodeInternal] and 500 if it wraps none.
func Encode(err error) (code string, status int) {
	for _, row := range codes {
		if errors.Is(err, row.err) {
			return row.code, row.status
		}
	}
	return CodeInternal, 500
}

// Decode returns the sentinel of a wire code. A code that it does not know,
// of a newer server perhaps, and [CodeInternal] are [diamond.ErrUnavailable]:
// that server could not answer.
func Decode(code string) error {
	for _, row := range codes {
		if row.code == code {
			return row.err
		}
	}
	return diamond.ErrUnavailable
}
