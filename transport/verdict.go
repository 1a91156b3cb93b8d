package transport

import (
	"errors"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// verdict collects the errors of a call that no server has answered yet.
type verdict struct {
	telling error         // the error that says most
	tried   int           // servers that were asked
	away    time.Duration // until the first server that was not asked, because of its Retry-After, may be asked; 0 if there is none
	retry   time.Duration // the shortest Retry-After of the servers that were asked; 0 if one sent none
}

// add adds the error of one more server.
func (v *verdict) add(err error) {
	if v.telling == nil || weight(err) >= weight(v.telling) {
		v.telling = err
	}
	after := retryAfter(err)
	if v.tried == 0 || after < v.retry {
		v.retry = after
	}
	v.tried++
}

// err returns the error that says most. Its RetryAfter is the time until there is a
// server to ask.
func (v *verdict) err() error {
	retry := v.retry
	if v.away > 0 {
		retry = min(retry, v.away)
	}
	if e, ok := errors.AsType[*conf.Error](v.telling); ok && e.RetryAfter != retry {
		c := *e
		c.RetryAfter = retry
		return &c
	}
	return v.telling
}

// retryAfter returns the Retry-After of err, or 0 if it has none.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*conf.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// weight orders errors by importance. An unknown outcome must not be hidden by a later
// "nothing was done". The error of a server is more important than that another server
// could not be asked.
func weight(err error) int {
	var e *conf.Error
	switch {
	case errors.Is(err, conf.ErrUnknownOutcome):
		return 2
	case errors.As(err, &e) && e.Remote, errors.Is(err, conf.ErrBehind):
		return 1
	}
	return 0
}
