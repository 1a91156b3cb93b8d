package diamond

import (
	"context"
	"errors"
	"fmt"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// persist asks until there is an answer, an error that asking again does not
// help, or no time left. So a read bears servers that restart for as long as
// its caller does.
func persist[Resp any](ctx context.Context, c *client, op string, key Key, ask func() (Resp, error)) (Resp, error) {
	var none Resp
	pause := backoff.Backoff{Cap: maxPause}
	var failed error // why the last attempt did
	for {
		resp, err := ask()
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil {
			return none, opError(op, key, c.gaveUp(ctx, failed))
		}
		if failed = callError(ctx, op, key, err); !passing(failed) {
			return none, failed
		}
		if pause.Wait(ctx, retryAfterOf(failed)) != nil {
			return none, opError(op, key, c.gaveUp(ctx, failed))
		}
	}
}

// tooLate returns last, for which the time was not enough, and how that ended: the
// reason stands first.
func tooLate(last, cause error) error {
	var e *Error
	if !errors.As(last, &e) || last != error(e) {
		return fmt.Errorf("%w (%w)", last, cause)
	}
	if c := new(Error); errors.As(cause, &c) {
		cause = c.Err
	}
	late := *e
	late.Err = fmt.Errorf("%w (%w)", e.Err, cause)
	return &late
}

// passing reports whether err says that nothing was done, and may pass.
func passing(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrBehind)
}

// ofServer returns an error of a transport as one of a client: that a server is
// closed does not say that the client is. Another one may do, or the next that
// is started there.
func ofServer(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || !e.Remote || !errors.Is(err, ErrClosed) || errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	own := *e
	own.Err, own.Detail = ErrUnavailable, "the server is closed"
	return &own
}
