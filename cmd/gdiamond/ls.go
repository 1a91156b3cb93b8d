package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newLs() *cobra.Command {
	var c connection
	var group string
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List the keys of a namespace whose data ids begin with PREFIX",
		Args:  arguments(0, 1, "at most a PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := diamond.ListRequest{Namespace: c.namespace, Group: group, Limit: conf.MaxPage}
			if len(args) > 0 {
				req.Prefix = args[0]
			}
			if strings.Contains(req.Prefix, "/") {
				return usageError{fmt.Errorf("%q is a KEY; ls takes the beginning of a data id, and the flags --group and --namespace", req.Prefix)}
			}
			if err := checkFilter(diamond.Filter{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}); err != nil {
				return err
			}
			ctx, client, done, err := c.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()

			entries := []entryOut{} // an empty list is not null
			var incomplete error    // shown after what there is
			for entry, err := range client.List(ctx, req) {
				if incomplete = err; err != nil {
					break
				}
				entries = append(entries, outEntry(entry, false))
			}
			if incomplete != nil && len(entries) == 0 {
				return incomplete
			}
			warnOld(cmd, c.lists.age())
			if c.output != formatTable {
				return cmp.Or(incomplete, c.output.write(cmd.OutOrStdout(), entries))
			}
			heading := "GROUP DATAID REVISION SIZE TYPE MD5 MODIFIED"
			if req.Namespace == diamond.AllNamespaces {
				heading = "NAMESPACE " + heading
			}
			rows := make([][]string, len(entries))
			for i, e := range entries {
				rows[i] = []string{
					e.Group, e.DataID, strconv.FormatInt(e.Revision, 10), strconv.FormatInt(e.Size, 10),
					dash(e.Type), e.MD5, shortTime(e.Modified),
				}
				if req.Namespace == diamond.AllNamespaces {
					rows[i] = slices.Insert(rows[i], 0, e.Namespace)
				}
			}
			return cmp.Or(incomplete, table(cmd.OutOrStdout(), heading, rows))
		},
	}
	c.flags(cmd)
	c.takesAllNamespaces()
	cmd.Flags().StringVarP(&group, "group", "g", "", "list only this group")
	return cmd
}
