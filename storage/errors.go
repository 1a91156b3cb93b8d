package storage

import (
	"context"
	"errors"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
)

// Ended returns an error if ctx has ended, and nil otherwise. The error wraps the
// context's error and its cause, and begins with the name of the storage.
func Ended(ctx context.Context, name string) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		return fmt.Errorf("%s: %w: %w", name, err, cause)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// KeyError returns an error that wraps sentinel and names key, with the
// formatted detail.
func KeyError(key diamond.Key, sentinel error, format string, args ...any) error {
	e := diamond.Errorf(sentinel, format, args...)
	e.Key = key
	return e
}
