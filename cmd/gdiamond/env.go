package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// applyEnv sets each flag that the command line left alone from its twin in the
// environment: GDIAMOND_IF_REVISION for --if-revision.
func applyEnv(cmd *cobra.Command) error {
	// Who names a server on the command line means it, whatever the environment has.
	placed := cmd.Flags().Changed("server") || cmd.Flags().Changed("namesrv")
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		value, ok := os.LookupEnv(name)
		switch {
		case !ok || value == "" || f.Changed || f.Name == "help":
		case placed && (f.Name == "server" || f.Name == "namesrv"):
		default:
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

func envName(flag string) string {
	return "GDIAMOND_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
