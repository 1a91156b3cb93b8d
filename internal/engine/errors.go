package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// retryAfter is when callers that were turned away are told to come back.
const retryAfter = time.Second

// Why the feed cannot go on though the storage can be read.
var (
	errFeedGap     = fmt.Errorf("%w: feed gap", conf.ErrUnavailable)
	errFeedStalled = fmt.Errorf("%w: feed stalled", conf.ErrUnavailable)
)

// storageErr returns err, but for the end of ctx, the context of the server's goroutines,
// which says nothing to a caller.
func storageErr(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) || errors.Is(err, conf.ErrUnknownOutcome) {
		return err
	}
	return unavailable("the storage did not answer before the server was closed")
}

// unavailable returns the error of what may work later.
func unavailable(format string, args ...any) error {
	e := conf.Errorf(conf.ErrUnavailable, format, args...)
	e.RetryAfter = retryAfter
	return e
}

// overloaded returns the error of a request that is one too many.
func overloaded(format string, args ...any) error {
	e := conf.Errorf(conf.ErrOverloaded, format, args...)
	e.RetryAfter = retryAfter
	return e
}

// isGone reports whether err says that a version is not in the storage.
func isGone(err error) bool {
	return errors.Is(err, conf.ErrNotFound) || errors.Is(err, conf.ErrCompacted)
}

// outcomeUnknown returns the error of a set that may be committed, though err kept
// the server from saying so.
func outcomeUnknown(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &conf.Error{Err: fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, err)}
	}
	return conf.Errorf(conf.ErrUnknownOutcome, "the server could not read it back") // err itself may promise that nothing was done
}

func closedError() error { return conf.Errorf(conf.ErrClosed, "the server is closed") }
