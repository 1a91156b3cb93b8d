package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of flags.
const (
	secretFlag = "secret" // the value is never shown
	originFlag = "origin" // the origin of the value, unless it is the command line
	hidesFlag  = "hides"  // the flags that this one hides in places of lower precedence
)

// secret marks a flag whose value is never shown.
func secret(flags *pflag.FlagSet, name string) {
	if err := flags.SetAnnotation(name, secretFlag, nil); err != nil {
		panic(err) // no such flag
	}
}

// applySettings sets the flags that the command line does not set: first from the
// environment, where --if-revision is GDIAMOND_IF_REVISION, then from the settings
// file.
func applySettings(cmd *cobra.Command) error {
	if err := setFlags(cmd, fromEnvironment); err != nil {
		return err
	}
	file := cmd.Flags().Lookup(configFlag)
	if file == nil || file.Value.String() == "" {
		return nil
	}
	settings, err := readSettings(cmd, file.Value.String())
	if err != nil {
		return err
	}
	return setFlags(cmd, settings.source)
}

// source looks a flag up in one place. It returns a function that sets the flag, or nil
// if the place has no value, and the name of the place.
type source func(f *pflag.Flag) (set func() error, origin string)

func fromEnvironment(f *pflag.Flag) (set func() error, origin string) {
	name := envName(f.Name)
	value := os.Getenv(name)
	if value == "" {
		return nil, ""
	}
	return func() error { return setValue(f, value) }, "environment variable " + name
}

func envName(flag string) string {
	return "GDIAMOND_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFlags sets the flags that are not set yet from a source.
func setFlags(cmd *cobra.Command, from source) error {
	taken := map[string]bool{"help": true, "version": true}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			taken[f.Name] = true
			for _, other := range f.Annotations[hidesFlag] {
				taken[other] = true
			}
		}
	})
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if taken[f.Name] {
			return
		}
		set, origin := from(f)
		if set == nil {
			return
		}
		if err := set(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", origin, err))
			return
		}
		f.Changed = true
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[originFlag] = []string{origin}
	})
	return errors.Join(errs...)
}

// typed reports whether a flag was set on the command line, and not in the environment
// or the settings file.
func typed(flags *pflag.FlagSet, name string) bool {
	f := flags.Lookup(name)
	return f != nil && f.Changed && len(f.Annotations[originFlag]) == 0
}

// hides makes a flag hide others in places of lower precedence, because they exclude each
// other.
func hides(flags *pflag.FlagSet, name string, others ...string) {
	if err := flags.SetAnnotation(name, hidesFlag, others); err != nil {
		panic(err) // no such flag
	}
}
