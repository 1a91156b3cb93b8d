package transport

import (
	"errors"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// verdict is what becomes of a call that no server has answered.
type verdict struct {
	telling error         // the error that says most
	tried   int           // servers that were asked
	away    time.Duration // until the first server that was not asked, as it wants to be left alone, may be asked; 0 if there is none
	retry   time.Duration // the shortest time that a server that was asked wants to be left alone; 0 if one does not
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

// retryAfter returns how long the server that answered with err wants to be left alone.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*conf.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// weight orders errors by how much they say. An unknown outcome must not be hidden
// by a later "nothing was done", and the error of a server says more than that a
// server could not be asked.
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
