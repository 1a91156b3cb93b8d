package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
)

func newImport() *cobra.Command {
	var c connection
	var dryRun, allowEmpty bool
	var comment string
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Publish the files of a directory, which are group/dataId",
		Long: `Publish the files of a directory, which are group/dataId, byte for byte.

First all files that cannot be published are listed: those at another depth, with
names outside the grammar, too large, empty or blank. If there is one, nothing is published.
Files are committed in change sets of up to 1000 files and 32 MiB.`,
		Args: arguments(1, 1, "a DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.filter("", ""); err != nil {
				return err
			}
			if err := checkSet(diamond.Draft{Key: diamond.Key{DataID: "x"}}, comment); err != nil {
				return err
			}
			root, err := os.OpenRoot(args[0])
			if err != nil {
				return err
			}
			defer root.Close()
			t := &tree{root: root, namespace: c.namespace, allowEmpty: allowEmpty}
			files, problems, err := t.scan()
			if err != nil {
				return err
			}
			for _, problem := range problems {
				fmt.Fprintln(cmd.ErrOrStderr(), errorLine(problem))
			}
			if len(problems) > 0 {
				return diamond.Errorf(diamond.ErrInvalid, "nothing was published: %d of %d files cannot be",
					len(problems), len(problems)+len(files))
			}
			summary := treeOut{Files: len(files), DryRun: dryRun}
			for _, file := range files {
				summary.Bytes += file.size
			}
			if !dryRun {
				if summary.Revision, err = c.publishTree(cmd.Context(), t, files, comment); err != nil {
					return err
				}
			}
			verb := "published"
			if dryRun {
				verb = "would publish"
			}
			return c.summarise(cmd, verb, summary)
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "look, and publish nothing")
	f.BoolVar(&allowEmpty, "allow-empty", false, "publish empty and blank files too")
	f.StringVar(&comment, "comment", "", "why")
	return cmd
}

// publishTree publishes files and returns the last revision. The timeout is
// each set's, so that large trees need no other one.
func (c *connection) publishTree(ctx context.Context, t *tree, files []treeFile, comment string) (int64, error) {
	_, client, done, err := c.client(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	published := 0
	var revision int64
	for set, err := range t.sets(files, comment) {
		if err == nil {
			var position diamond.Position
			position, err = c.commitSet(ctx, client, set)
			revision = position.Revision
		}
		if err != nil {
			are := "were"
			if errors.Is(err, diamond.ErrUnknownOutcome) {
				are = "are known to be"
			}
			return 0, fmt.Errorf("%w (%d of %d files %s published)", err, published, len(files), are)
		}
		published += len(set.Drafts)
	}
	return revision, nil
}

func (c *connection) commitSet(ctx context.Context, client diamond.Client, set diamond.ChangeSet) (diamond.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return client.Commit(ctx, set)
}

// treeOut is what an import or export has done, as it is written.
type treeOut struct {
	Files    int   `json:"files" yaml:"files"`
	Bytes    int64 `json:"bytes" yaml:"bytes"`
	Revision int64 `json:"revision,omitempty" yaml:"revision,omitempty"`
	DryRun   bool  `json:"dryRun,omitempty" yaml:"dryRun,omitempty"`
}

func (c *connection) summarise(cmd *cobra.Command, verb string, summary treeOut) error {
	if c.output != formatTable {
		return c.output.write(cmd.OutOrStdout(), summary)
	}
	text := fmt.Sprintf("%s %d files, %d bytes", verb, summary.Files, summary.Bytes)
	if summary.Revision > 0 {
		text += fmt.Sprintf(", revision %d", summary.Revision)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
