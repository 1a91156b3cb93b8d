package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
)

func newExport() *cobra.Command {
	var c connection
	var group string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the keys of a namespace to a directory, as group/dataId",
		Long: `Write the keys of a namespace to a directory, as group/dataId, byte for byte.

The directory is made if need be, and must be empty.`,
		Args: arguments(1, 1, "a DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.filter(group, ""); err != nil {
				return err
			}
			root, err := openEmpty(args[0])
			if err != nil {
				return err
			}
			defer root.Close()
			t := &tree{root: root, namespace: c.namespace}
			summary, err := c.export(cmd.Context(), t, group)
			if err != nil {
				return fmt.Errorf("%w (%d files were written)", err, summary.Files)
			}
			return c.summarise(cmd, "wrote", summary)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVarP(&group, "group", "g", "", "only this group")
	return cmd
}

func (c *connection) export(ctx context.Context, t *tree, group string) (treeOut, error) {
	_, client, done, err := c.client(ctx)
	if err != nil {
		return treeOut{}, err
	}
	defer done()
	return c.exportTree(ctx, client, t, group)
}

// exportTree writes all that client lists. The timeout is for want of progress:
// a large tree takes its time.
func (c *connection) exportTree(ctx context.Context, client diamond.Client, t *tree, group string) (treeOut, error) {
	var summary treeOut
	ctx, release := context.WithTimeout(ctx, math.MaxInt64) // or the client would set one of its own
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	defer stalled.Stop()
	req := diamond.ListRequest{Namespace: c.namespace, Group: group, Limit: diamond.MaxPage, Contents: true}
	for entry, err := range client.List(ctx, req) {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("list: %w", context.Cause(ctx))
		}
		if err != nil {
			return summary, err
		}
		if err := t.write(&entry); err != nil {
			return summary, err
		}
		stalled.Reset(c.timeout)
		summary.Files++
		summary.Bytes += entry.Size
		summary.Revision = max(summary.Revision, entry.Revision)
	}
	return summary, nil
}

// openEmpty opens a directory that holds nothing, and makes it if need be.
func openEmpty(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	d, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	defer d.Close()
	if _, err := d.Readdirnames(1); err != io.EOF {
		root.Close()
		return nil, diamond.Errorf(diamond.ErrInvalid, "directory %s is not empty", dir)
	}
	return root, nil
}
