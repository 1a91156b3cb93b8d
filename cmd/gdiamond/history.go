package main

import (
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newHistory() *cobra.Command {
	var c connection
	var limit int
	cmd := &cobra.Command{
		Use:   "history KEY",
		Short: "List the kept versions of a key, newest first",
		Long: `List the kept versions of a key, newest first.

A KEY of the namespace _govern is that of a document of rights, such as _govern/token/NAME,
_govern/grants/SCOPE or _govern/centre/marker. Its history says who changed it and when.`,
		Example: "  gdiamond history _govern/grants/namespace:shop.production",
		Args:    arguments(1, 1, "a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.anyKey(args[0])
			if err != nil {
				return err
			}
			if limit < 0 {
				return usageError{conf.Errorf(diamond.ErrInvalid, "limit: negative")}
			}
			ctx, client, done, err := c.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()

			var changes []changeOut
			for change, err := range client.History(ctx, diamond.HistoryRequest{Key: key}) {
				if err != nil {
					return c.aboutDocuments(cmd.Context(), key.Namespace, err)
				}
				changes = append(changes, outChange(change))
				if len(changes) == limit {
					break
				}
			}
			if len(changes) == 0 {
				e := conf.Errorf(diamond.ErrNotFound, "the key has no history")
				e.Op, e.Key = "history", key
				return e
			}
			if c.output != formatTable {
				return c.output.write(cmd.OutOrStdout(), changes)
			}
			head, rows := "REVISION OP SIZE TYPE MD5 AUTHOR ADDRESS TIME COMMENT", make([][]string, len(changes))
			origins := slices.ContainsFunc(changes, func(ch changeOut) bool { return ch.Origin != "" })
			if origins {
				head += " ORIGIN"
			}
			for i, ch := range changes {
				rows[i] = []string{
					strconv.FormatInt(ch.Revision, 10), ch.Op, strconv.FormatInt(ch.Size, 10), dash(ch.Type),
					dash(ch.MD5), dash(ch.Author), dash(ch.Address), shortTime(ch.Time), dash(ch.Comment),
				}
				if origins {
					rows[i] = append(rows[i], dash(ch.Origin))
				}
			}
			return table(cmd.OutOrStdout(), head, rows)
		},
	}
	c.flags(cmd)
	cmd.Flags().IntVar(&limit, "limit", 0, "list at most `N` versions (default all)")
	return cmd
}
