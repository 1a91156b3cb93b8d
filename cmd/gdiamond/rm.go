package main

import (
	"cmp"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newRm() *cobra.Command {
	var c connection
	var ifRevision int64
	var comment string
	var force bool
	cmd := &cobra.Command{
		Use:   "rm KEY",
		Short: "Delete a key",
		Args:  arguments(1, 1, "a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.key(args[0])
			if err != nil {
				return err
			}
			del := diamond.Delete{Key: key}
			if cmd.Flags().Changed("if-revision") {
				if ifRevision < 1 {
					return usageError{conf.Errorf(diamond.ErrInvalid, "if-revision: %d is less than 1", ifRevision)}
				}
				del.IfRevision = &ifRevision
			}
			set := diamond.ChangeSet{Deletes: []diamond.Delete{del}, Comment: comment, Force: force}
			if err := cmp.Or(checkChanges(set), checkForce(force, comment)); err != nil {
				return err
			}
			return c.commit(cmd, set, key, "delete")
		},
	}
	c.flags(cmd)
	cmd.Flags().Int64Var(&ifRevision, "if-revision", 0, "delete only if the key is at revision `N`")
	forceFlag(cmd, &force)
	cmd.Flags().StringVar(&comment, "comment", "", "reason, kept in the history")
	return cmd
}
