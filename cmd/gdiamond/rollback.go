package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newRollback() *cobra.Command {
	var c connection
	var to int64
	var comment string
	var force bool
	cmd := &cobra.Command{
		Use:   "rollback KEY",
		Short: "Publish the version before the current one again",
		Long: `Publish the version before the current one again, with its type and metadata.

If the key was deleted, the version before the deletion is published. If somebody else
changes the key meanwhile, nothing is published, and the exit code is 4.

A rollback is a publish, so a second one returns to the version before the first one. To
go further back, use --to with a revision that "gdiamond history KEY" lists.`,
		Args: arguments(1, 1, "a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.key(args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("to") && to < 1 {
				return usageError{conf.Errorf(diamond.ErrInvalid, "to: %d is less than 1", to)}
			}
			if err := cmp.Or(checkSet(diamond.Draft{Key: key}, comment), checkForce(force, comment)); err != nil {
				return err
			}
			ctx, client, done, err := c.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			version, position, err := rollback(ctx, client, key, to, comment, force)
			return c.committed(cmd, positionOut{keyOut: outKey(key), Op: "publish", Restored: version}, position, err)
		},
	}
	c.flags(cmd)
	cmd.Flags().Int64Var(&to, "to", 0, "publish the version of revision `N` (default the one before the current)")
	forceFlag(cmd, &force)
	cmd.Flags().StringVar(&comment, "comment", "", "reason, kept in the history (default \"roll back to revision N\")")
	return cmd
}

// rollback publishes the version of revision to of key again, or if to is 0 the one before
// the current one, and returns that revision and the position of the commit. It fails with
// ErrConflict if the key changes meanwhile.
func rollback(ctx context.Context, client diamond.Client, key diamond.Key, to int64, comment string, force bool) (version int64, position diamond.Position, err error) {
	var newest diamond.Change
	for change, err := range client.History(ctx, diamond.HistoryRequest{Key: key}) {
		switch {
		case err != nil:
			return 0, position, err
		case newest.Revision == 0:
			newest = change
		case change.Op == diamond.OpPublish:
			to = change.Revision
		}
		if to > 0 {
			break
		}
	}
	if to == 0 || newest.Revision == 0 {
		return 0, position, &diamond.Error{
			Op: "rollback", Key: key, Err: diamond.ErrNotFound, Detail: "the server keeps no earlier version of the key",
		}
	}
	entry, err := client.Read(ctx, key, to)
	if errors.Is(err, diamond.ErrCompacted) {
		err = fmt.Errorf("%w; --history-age and related flags of the server say how much it keeps", err)
	}
	if err != nil {
		return 0, position, err
	}
	if comment == "" {
		comment = fmt.Sprintf("roll back to revision %d", to)
	}
	draft := diamond.Draft{
		Key: key, Content: entry.Content, Type: entry.Type, Meta: entry.Meta,
		Reset: true, AllowEmpty: true, IfRevision: new(int64),
	}
	if newest.Op == diamond.OpPublish { // else the key must not exist
		*draft.IfRevision = newest.Revision
	}
	position, err = client.Commit(ctx, diamond.ChangeSet{Drafts: []diamond.Draft{draft}, Comment: comment, Force: force, Origin: originRestore})
	return to, position, err
}
