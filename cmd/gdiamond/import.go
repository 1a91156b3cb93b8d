package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newImport() *cobra.Command {
	var c connection
	var dryRun, allowEmpty, force bool
	var comment string
	cmd := &cobra.Command{
		Use:   "import DIR",
		Short: "Publish the files group/dataId of a directory",
		Long: `Publish the files group/dataId of a directory, byte for byte.

Files that equal the present values of their keys are not published again. If the directory
is from an export, the types and metadata in its .gdiamond.jsonl are published too. For
other files the keys keep their type and metadata.

Hidden files, and files left by systems and editors, are listed and skipped. Other files
that cannot be published are listed first: files at another depth, with invalid names, too
large, empty or blank. If there is one, nothing is published. Files are committed in change
sets of up to 1000 files and 32 MiB.`,
		Args: arguments(1, 1, "a DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(c.oneNamespace(), checkFilter(diamond.Filter{Namespace: c.namespace})); err != nil {
				return err
			}
			if err := cmp.Or(checkSet(diamond.Draft{Key: diamond.Key{DataID: "x"}}, comment), checkForce(force, comment)); err != nil {
				return err
			}
			root, err := os.OpenRoot(args[0])
			if err != nil {
				return err
			}
			defer root.Close()
			t := &tree{root: root, namespace: c.namespace, allowEmpty: allowEmpty, force: force}
			found, err := t.scan()
			if err != nil {
				return err
			}
			for _, path := range found.skipped {
				fmt.Fprintf(cmd.ErrOrStderr(), "gdiamond: skipped %q: it is hidden, or a file of the system or an editor\n", path)
			}
			for _, problem := range found.problems {
				fmt.Fprintln(cmd.ErrOrStderr(), errorLine(problem))
			}
			if len(found.problems) > 0 {
				return conf.Errorf(diamond.ErrInvalid, "nothing was published: %d of %d files are invalid",
					len(found.problems), len(found.problems)+len(found.files))
			}
			summary, err := c.publishTree(cmd.Context(), t, found.files, comment, dryRun)
			if err != nil {
				return err
			}
			summary.Skipped = len(found.skipped)
			verb := "published"
			if dryRun {
				verb = "would publish"
			}
			return c.summarise(cmd, verb, summary)
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&dryRun, "dry-run", false, "compare only, and publish nothing")
	f.BoolVar(&allowEmpty, "allow-empty", false, "also publish files that are empty, blank, or have only comments")
	forceFlag(cmd, &force)
	f.StringVar(&comment, "comment", "", "reason, kept in the history")
	return cmd
}

// publishTree publishes the files that differ from the values of their keys; a dry run
// only counts them. The timeout applies to each set, so that it need not be raised for
// large trees.
func (c *connection) publishTree(ctx context.Context, t *tree, files []treeFile, comment string, dryRun bool) (treeOut, error) {
	summary := treeOut{DryRun: dryRun}
	_, client, done, err := c.client(ctx)
	if err != nil {
		return summary, err
	}
	defer done()
	present, err := c.present(ctx, client, files)
	if err != nil {
		return summary, fmt.Errorf("%w (0 of %d files were published)", err, len(files))
	}
	for set, err := range t.sets(files, present, comment) {
		if err == nil && !dryRun {
			var position diamond.Position
			position, err = c.commitSet(ctx, client, set)
			summary.Revision = position.Revision
		}
		if err != nil {
			are := "were"
			if errors.Is(err, diamond.ErrUnknownOutcome) {
				are = "are known to be"
			}
			return summary, fmt.Errorf("%w (%d of %d files %s published)", err, summary.Files, len(files), are)
		}
		summary.Files += len(set.Drafts)
		for i := range set.Drafts {
			summary.Bytes += int64(len(set.Drafts[i].Content))
		}
	}
	summary.Unchanged = len(files) - summary.Files
	return summary, nil
}

// present returns the entries in the groups of files, without contents.
func (c *connection) present(ctx context.Context, client diamond.Client, files []treeFile) (map[diamond.Key]diamond.Entry, error) {
	entries := make(map[diamond.Key]diamond.Entry)
	for i, file := range files {
		if i > 0 && files[i-1].key.Group == file.key.Group {
			continue
		}
		req := diamond.ListRequest{Namespace: c.namespace, Group: file.key.Group, Limit: conf.MaxPage}
		for entry, err := range c.list(ctx, client, req) {
			if err != nil {
				return nil, err
			}
			entries[entry.Key] = entry
		}
	}
	return entries, nil
}

func (c *connection) commitSet(ctx context.Context, client diamond.Client, set diamond.ChangeSet) (diamond.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return client.Commit(ctx, set)
}

// treeOut is the result of an import or export in the output.
type treeOut struct {
	Files     int   `json:"files" yaml:"files"`
	Bytes     int64 `json:"bytes" yaml:"bytes"`
	Unchanged int   `json:"unchanged,omitempty" yaml:"unchanged,omitempty"` // files that equal the values of their keys
	Skipped   int   `json:"skipped,omitempty" yaml:"skipped,omitempty"`     // hidden files, and those of systems and editors
	Revision  int64 `json:"revision,omitempty" yaml:"revision,omitempty"`
	DryRun    bool  `json:"dryRun,omitempty" yaml:"dryRun,omitempty"`
}

func (c *connection) summarise(cmd *cobra.Command, verb string, summary treeOut) error {
	if c.output != formatTable {
		return c.output.write(cmd.OutOrStdout(), summary)
	}
	text := fmt.Sprintf("%s %d files, %d bytes", verb, summary.Files, summary.Bytes)
	if summary.Revision > 0 {
		text += fmt.Sprintf(", revision %d", summary.Revision)
	}
	if summary.Unchanged > 0 {
		text += fmt.Sprintf("; %d unchanged", summary.Unchanged)
	}
	if summary.Skipped > 0 {
		text += fmt.Sprintf("; skipped %d", summary.Skipped)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
