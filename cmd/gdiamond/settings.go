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
	secretFlag = "secret" // its value is shown to nobody
	originFlag = "origin" // what set it, where the command line did not
)

// secret marks a flag whose value is shown to nobody.
func secret(flags *pflag.FlagSet, name string) {
	if err := flags.SetAnnotation(name, secretFlag, nil); err != nil {
		panic(err) // no such flag
	}
}

// applySettings sets the flags that the command line left alone: first from
// the environment, where --if-revision is GDIAMOND_IF_REVISION, then from the
// settings file.
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

// source says what one place has for a flag: how to set it, and how that place
// is called. A nil set says that it has nothing.
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

// setFlags sets from a source what nothing has set yet.
func setFlags(cmd *cobra.Command, from source) error {
	taken := map[string]bool{"help": true, "version": true}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			taken[f.Name], taken[alternatives[f.Name]] = true, true
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

// typed reports whether the command line itself has a flag. What else has it
// says what holds where the command line says nothing.
func typed(flags *pflag.FlagSet, name string) bool {
	f := flags.Lookup(name)
	return f != nil && f.Changed && len(f.Annotations[originFlag]) == 0
}

// alternatives are pairs of flags of which one is given. Who gives one means it,
// whatever a place that counts for less has for the other.
var alternatives = map[string]string{
	"server": "namesrv", "namesrv": "server",
}
