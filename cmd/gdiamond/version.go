package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/server"
)

func newVersion() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != formatTable {
				return output.write(cmd.OutOrStdout(), server.ReadBuildInfo())
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "gdiamond %s\n", builtFrom())
			return err
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "table, json or yaml")
	return cmd
}

// builtFrom returns the version, the revision and the Go version of this program.
func builtFrom() string {
	b := server.ReadBuildInfo()
	return fmt.Sprintf("%s %s %s", b.Version, dash(b.Revision), b.GoVersion)
}
