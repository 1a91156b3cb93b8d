// Package backoff computes pauses between attempts.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// The defaults of a [Backoff], and the limit for a RetryAfter.
const (
	DefaultBase   = 500 * time.Millisecond
	DefaultCap    = 30 * time.Second
	MaxRetryAfter = 5 * time.Minute
)

// Backoff counts failures and computes pauses with "full jitter": a random part of a window
// that doubles with each failure. The zero Backoff is ready for use. It is not safe for
// concurrent use.
type Backoff struct {
	Base time.Duration // first window; 0 means DefaultBase
	Cap  time.Duration // largest window; 0 means DefaultCap

	window time.Duration // of the last pause, or 0 before the first failure
}

// Next counts a failure and returns the pause after it. A retryAfter above zero is added to
// the window, so that callers with the same retryAfter do not return at the same moment.
func (b *Backoff) Next(retryAfter time.Duration) time.Duration {
	base, limit := b.Base, b.Cap
	if base <= 0 {
		base = DefaultBase
	}
	if limit <= 0 {
		limit = DefaultCap
	}
	if b.window == 0 {
		b.window = min(base, limit)
	} else {
		b.window = min(2*b.window, limit)
	}
	return min(max(retryAfter, 0), MaxRetryAfter) + rand.N(b.window)
}

// Reset forgets the failures.
func (b *Backoff) Reset() { b.window = 0 }

// Wait counts a failure and pauses for [Backoff.Next]. It returns ctx's error if ctx ends
// first.
func (b *Backoff) Wait(ctx context.Context, retryAfter time.Duration) error {
	return Sleep(ctx, b.Next(retryAfter))
}

// Sleep pauses for d. It returns ctx's error if ctx ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Jitter returns a random duration around d: with a part of 0.1, between 0.9 and 1.1 of d.
func Jitter(d time.Duration, part float64) time.Duration {
	return d + time.Duration((2*rand.Float64()-1)*part*float64(d))
}
