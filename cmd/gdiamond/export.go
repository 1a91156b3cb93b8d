package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newExport() *cobra.Command {
	var c connection
	var group string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the keys of a namespace to a directory, as group/dataId",
		Long: `Write the keys of a namespace to a directory, as group/dataId, byte for byte.

The directory must be empty and is created if necessary. The file .gdiamond.jsonl in it
records the type and metadata of each key, and whether it is empty on purpose. An import
reads that file. Bytes that are not allowed in file names on every system, such as ":" or
a leading dot, are written as % and two hexadecimal digits.`,
		Args: arguments(1, 1, "a DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(c.oneNamespace(), checkFilter(diamond.Filter{Namespace: c.namespace, Group: group})); err != nil {
				return err
			}
			root, err := openEmpty(args[0])
			if err != nil {
				return err
			}
			defer root.Close()
			summary, err := c.export(cmd.Context(), root, group)
			if err != nil {
				return fmt.Errorf("%w (%d files were written)", err, summary.Files)
			}
			warnOld(cmd, c.lists.age())
			return c.summarise(cmd, "wrote", summary)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVarP(&group, "group", "g", "", "only this group")
	return cmd
}

func (c *connection) export(ctx context.Context, root *os.Root, group string) (treeOut, error) {
	_, client, done, err := c.client(ctx)
	if err != nil {
		return treeOut{}, err
	}
	defer done()
	return c.exportTree(ctx, client, root, group)
}

// exportTree writes all entries that client lists. If the name of a key cannot be a
// file name here, it still writes the other keys, and the error names that key.
func (c *connection) exportTree(ctx context.Context, client diamond.Client, root *os.Root, group string) (summary treeOut, err error) {
	w, err := newTreeWriter(root, c.namespace)
	if err != nil {
		return summary, err
	}
	defer func() { err = cmp.Or(err, w.close()) }()
	var unnamed []error
	req := diamond.ListRequest{Namespace: c.namespace, Group: group, Limit: conf.MaxPage, Contents: true}
	for entry, err := range c.list(ctx, client, req) {
		if err == nil {
			err = w.write(&entry)
		}
		switch {
		case ofName(err):
			unnamed = append(unnamed, fmt.Errorf("%s: %w", entry.Key, err))
			continue
		case err != nil:
			return summary, err
		}
		summary.Files++
		summary.Bytes += entry.Size
		summary.Revision = max(summary.Revision, entry.Revision)
	}
	return summary, errors.Join(unnamed...)
}

// list lists the entries of req. The timeout limits the time without progress, so
// that a large tree may take longer.
func (c *connection) list(ctx context.Context, client diamond.Client, req diamond.ListRequest) iter.Seq2[diamond.Entry, error] {
	return func(yield func(diamond.Entry, error) bool) {
		ctx, release := context.WithTimeout(ctx, math.MaxInt64) // or the client would set a timeout itself
		defer release()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stalled := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
		defer stalled.Stop()
		for entry, err := range client.List(ctx, req) {
			if err != nil && ctx.Err() != nil {
				err = fmt.Errorf("list: %w", context.Cause(ctx))
			}
			if !yield(entry, err) || err != nil {
				return
			}
			stalled.Reset(c.timeout)
		}
	}
}

// openEmpty opens an empty directory, and creates it if necessary.
func openEmpty(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
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
		return nil, conf.Errorf(diamond.ErrInvalid, "directory %s is not empty", dir)
	}
	return root, nil
}
