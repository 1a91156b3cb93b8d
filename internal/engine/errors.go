package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// retryAfter is the time after which refused callers are told to try again.
const retryAfter = time.Second

// The reasons that the feed cannot go on although the storage can be read.
var (
	errFeedGap     = fmt.Errorf("%w: feed gap", conf.ErrUnavailable)
	errFeedStalled = fmt.Errorf("%w: feed stalled", conf.ErrUnavailable)
)

// storageErr returns err, unless err is the end of ctx. Ctx is the context of the server's
// goroutines. Its end means nothing to a caller, and is returned as ErrUnavailable.
func storageErr(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) || errors.Is(err, conf.ErrUnknownOutcome) {
		return err
	}
	return unavailable("the storage did not answer before the server was closed")
}

// unavailable returns the error of a request that may succeed later.
func unavailable(format string, args ...any) error {
	e := conf.Errorf(conf.ErrUnavailable, format, args...)
	e.RetryAfter = retryAfter
	return e
}

// overloaded returns the error of a request above a limit.
func overloaded(format string, args ...any) error {
	e := conf.Errorf(conf.ErrOverloaded, format, args...)
	e.RetryAfter = retryAfter
	return e
}

// isGone reports whether err means that a version is not in the storage.
func isGone(err error) bool {
	return errors.Is(err, conf.ErrNotFound) || errors.Is(err, conf.ErrCompacted)
}

// outcomeUnknown returns the error of a set that may have been committed, although the
// server could not confirm it because of err.
func outcomeUnknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &conf.Error{Err: fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, err)}
	}
	return conf.Errorf(conf.ErrUnknownOutcome, "the server could not read it back") // without err, which may promise that nothing was done
}

func closedError() error { return conf.Errorf(conf.ErrClosed, "the server is closed") }
