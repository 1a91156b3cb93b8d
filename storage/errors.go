package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/linnaname/gdiamond/conf"
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
func KeyError(key conf.Key, sentinel error, format string, args ...any) error {
	e := conf.Errorf(sentinel, format, args...)
	e.Key = key
	return e
}
