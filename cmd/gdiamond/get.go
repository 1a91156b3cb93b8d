package main

import (
	"io"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
)

func newGet() *cobra.Command {
	var c connection
	var revision int64
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Write the value of a key to the standard output, byte for byte",
		Args:  arguments(1, 1, "a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.key(args[0])
			if err != nil {
				return err
			}
			if revision < 0 {
				return usageError{diamond.Errorf(diamond.ErrInvalid, "revision: negative")}
			}
			ctx, client, done, err := c.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()

			var entry diamond.Entry
			if revision > 0 {
				entry, err = client.Read(ctx, key, revision)
			} else {
				var config diamond.Config
				config, err = client.Get(ctx, key)
				entry = config.Entry
			}
			if err != nil {
				return err
			}
			if c.output == formatTable {
				_, err = io.WriteString(cmd.OutOrStdout(), entry.Content)
				return err
			}
			return c.output.write(cmd.OutOrStdout(), outEntry(entry, true))
		},
	}
	c.flags(cmd)
	cmd.Flags().Int64Var(&revision, "revision", 0, "the version published at revision `N` (default the present one)")
	return cmd
}
