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
		Short: "Print what this program was built from",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := server.ReadBuildInfo()
			if output != formatTable {
				return output.write(cmd.OutOrStdout(), b)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "gdiamond %s %s %s\n", b.Version, dash(b.Revision), b.GoVersion)
			return err
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "table, json or yaml")
	return cmd
}
