package transport

import (
	"errors"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// verdict is what becomes of a call that no server has answered.
type verdict struct {
	telling error         // the error that says most
	tried   int           // servers that were asked
	away    time.Duration // until the first of those not asked, as they want to be left alone, may be; 0: there is none
	retry   time.Duration // the shortest that those asked want to be left alone; 0: one does not
}

// add takes in the error of one more server.
func (v *verdict) add(err error) {
	if v.telling == nil || rank(err) >= rank(v.telling) {
		v.telling = err
	}
	after := retryAfter(err)
	if v.tried == 0 || after < v.retry {
		v.retry = after
	}
	v.tried++
}

// err returns the error that says most. It sends the caller away only for as
// long as there is no server to ask.
func (v *verdict) err() error {
	retry := v.retry
	if v.away > 0 {
		retry = min(retry, v.away)
	}
	if e, ok := errors.AsType[*diamond.Error](v.telling); ok && e.RetryAfter != retry {
		c := *e
		c.RetryAfter = retry
		return &c
	}
	return v.telling
}

// retryAfter returns for how long the server that said err wants to be left alone.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*diamond.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// rank orders errors by how much they say: an outcome that is unknown must not
// be hidden by a later "nothing was done", and what a server said beats that
// one could not be asked.
func rank(err error) int {
	var e *diamond.Error
	switch {
	case errors.Is(err, diamond.ErrUnknownOutcome):
		return 2
	case errors.As(err, &e) && e.Remote, errors.Is(err, diamond.ErrBehind):
		return 1
	}
	return 0
}
