package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// setValue sets a flag to a value that is not from the command line.
func setValue(f *pflag.Flag, value string) error {
	if err := f.Value.Set(value); err != nil {
		return valueError(f, value, err)
	}
	return nil
}

// flagError rewords an error of the flag library.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	f := invalid.GetFlag()
	return fmt.Errorf("%s: %w", f.Name, valueError(f, invalid.GetValue(), invalid.Unwrap()))
}

// valueError says why value is invalid for f. It replaces the parser's error err.
func valueError(f *pflag.Flag, value string, err error) error {
	if f.Name == "log-level" { // its type has no name
		return fmt.Errorf("%q is not debug, info, warn or error", value)
	}
	switch f.Value.Type() {
	case "duration":
		return fmt.Errorf("%q is not a duration, such as 500ms, 5s, 1m30s or 720h", value)
	case "int", "int64":
		return fmt.Errorf("%q is not a whole number", value)
	case "bool":
		return fmt.Errorf("%q is neither true nor false", value)
	case "stringToString":
		return fmt.Errorf("%q is not NAME=VALUE", value)
	}
	return err
}
