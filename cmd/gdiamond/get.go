package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newGet() *cobra.Command {
	var c connection
	var revision int64
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Write the value of a key to standard output, byte for byte",
		Args:  arguments(1, 1, "a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.key(args[0])
			if err != nil {
				return err
			}
			if revision < 0 {
				return usageError{conf.Errorf(diamond.ErrInvalid, "revision: negative")}
			}
			res, err := c.fetch(cmd.Context(), key, revision)
			if err != nil {
				return err
			}
			if c.output == formatTable {
				if revision == 0 {
					warnOld(cmd, res.Stale)
				}
				_, err = io.WriteString(cmd.OutOrStdout(), res.Entry.Content)
				return err
			}
			out := outEntry(res.Entry, true)
			if res.Stale > 0 {
				out.Stale = res.Stale.String()
			}
			return c.output.write(cmd.OutOrStdout(), out)
		},
	}
	c.flags(cmd)
	cmd.Flags().Int64Var(&revision, "revision", 0, "get the version published at revision `N` (default the current one)")
	return cmd
}

// fetch retries until a server answers or the command's time is over. It uses the
// transport, whose answer says how old it may be.
func (c *connection) fetch(ctx context.Context, key diamond.Key, revision int64) (*conf.FetchResponse, error) {
	wire, hangUp, err := c.dial()
	if err != nil {
		return nil, err
	}
	defer hangUp()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var res *conf.FetchResponse
	err = patiently(ctx, func() (err error) {
		res, err = wire.Fetch(ctx, &conf.FetchRequest{Key: key, Revision: revision})
		return err
	})
	if err == nil && !res.Found {
		err = &diamond.Error{Op: "get", Key: key, Err: diamond.ErrNotFound}
	}
	return res, err
}
