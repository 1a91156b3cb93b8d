package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func newPublish() *cobra.Command {
	var c connection
	var ifRevision int64
	var draft diamond.Draft
	var comment string
	var force bool
	cmd := &cobra.Command{
		Use:   "publish KEY [FILE|-]",
		Short: "Publish a file, or standard input, as the value of a key",
		Args:  arguments(1, 2, "a KEY, and a FILE or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if draft.Key, err = c.key(args[0]); err != nil {
				return err
			}
			if cmd.Flags().Changed("if-revision") {
				if ifRevision < 0 {
					return usageError{conf.Errorf(diamond.ErrInvalid, "if-revision: negative")}
				}
				draft.IfRevision = &ifRevision
			}
			if err := cmp.Or(checkSet(draft, comment), checkForce(force, comment)); err != nil {
				return err
			}
			name := "-"
			if len(args) > 1 {
				name = args[1]
			}
			in, err := input(cmd.Context(), cmd.InOrStdin(), name)
			if err != nil {
				return err
			}
			defer in.Close()
			if draft.Content, err = readContent(in); err != nil {
				return err
			}
			if !draft.AllowEmpty && blank(draft) {
				return conf.Errorf(diamond.ErrInvalid, "%s; to delete the key, use gdiamond rm", errBlank)
			}
			set := diamond.ChangeSet{Drafts: []diamond.Draft{draft}, Comment: comment, Force: force}
			return c.commit(cmd, set, draft.Key, "publish")
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.Int64Var(&ifRevision, "if-revision", 0, "publish only if the key is at revision `N`, or with 0 only if it does not exist")
	f.StringVar(&draft.Type, "type", "", "format of the content: json, yaml, toml, properties, xml, text, ... (default the key's type, or for a new key that of its extension)")
	f.StringToStringVar(&draft.Meta, "meta", nil, "metadata `NAME=VALUE[,...]`; put double quotes around a pair with a comma in its VALUE (default the key's metadata)")
	f.Lookup("meta").DefValue = "" // the usage says it
	f.BoolVar(&draft.Reset, "reset", false, "do not keep the type and metadata of the key: use only --type and --meta, and no type without --type")
	f.StringVar(&comment, "comment", "", "reason, kept in the history")
	forceFlag(cmd, &force)
	f.BoolVar(&draft.AllowEmpty, "allow-empty", false, "also publish a content that is empty, blank, or has only comments")
	return cmd
}

// errBlank is the error for a blank content, which is nearly always a mistake.
var errBlank = errors.New("content: is empty, blank, or has no value in its format; to publish it anyway, use --allow-empty")

// checkSet refuses a set that every server would refuse. It does not check the content
// of draft, which may still be missing.
func checkSet(draft diamond.Draft, comment string) error {
	draft.AllowEmpty = true
	return checkChanges(diamond.ChangeSet{Drafts: []diamond.Draft{draft}, Comment: comment})
}

func checkChanges(set diamond.ChangeSet) error {
	if err := set.Canonical().Validate(math.MaxInt64); err != nil {
		return usageError{err}
	}
	return nil
}

// commit commits set, which has one change to key, and writes the resulting revision.
func (c *connection) commit(cmd *cobra.Command, set diamond.ChangeSet, key diamond.Key, op string) error {
	ctx, client, done, err := c.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	position, err := client.Commit(ctx, set)
	return c.committed(cmd, positionOut{keyOut: outKey(key), Op: op}, position, err)
}

// committed writes what a commit of one change resulted in: change with the revision and
// the position, or else the error.
func (c *connection) committed(cmd *cobra.Command, change positionOut, position diamond.Position, err error) error {
	key := diamond.Key(change.keyOut)
	if errors.Is(err, diamond.ErrUnknownOutcome) {
		return fmt.Errorf("%w; use `gdiamond history %s` to see whether it was committed", err, key)
	}
	if err != nil {
		return err
	}
	change.Revision, change.Position = position.Revision, position.String()
	out := cmd.OutOrStdout()
	if c.output != formatTable {
		return c.output.write(out, change)
	}
	again := ""
	if change.Restored > 0 {
		again = fmt.Sprintf(", with the value of revision %d", change.Restored)
	}
	_, err = fmt.Fprintf(out, "%s %s revision %d%s\n", change.Op, key, change.Revision, again)
	return err
}

// maxRead is the largest content that any server accepts. No more of a file is read.
const maxRead = conf.MaxSetBytes

// readContent reads all of in.
func readContent(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxRead+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxRead {
		return "", conf.Errorf(diamond.ErrTooLarge, "content: more than %d bytes; by default a server accepts %d",
			maxRead, diamond.DefaultMaxContent)
	}
	return string(content), nil
}
