package main

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
)

func newPublish() *cobra.Command {
	var c connection
	var ifRevision int64
	var draft diamond.Draft
	var comment string
	cmd := &cobra.Command{
		Use:   "publish KEY [FILE|-]",
		Short: "Publish a file, or the standard input, as the value of a key",
		Args:  arguments(1, 2, "a KEY, and a FILE or - for the standard input"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if draft.Key, err = c.key(args[0]); err != nil {
				return err
			}
			if cmd.Flags().Changed("if-revision") {
				if ifRevision < 0 {
					return usageError{diamond.Errorf(diamond.ErrInvalid, "if-revision: negative")}
				}
				draft.IfRevision = &ifRevision
			}
			if err := checkSet(draft, comment); err != nil {
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
				return diamond.Errorf(diamond.ErrInvalid, "%s, and gdiamond rm deletes the key", errBlank)
			}
			set := diamond.ChangeSet{Drafts: []diamond.Draft{draft}, Comment: comment}
			return c.commit(cmd, set, draft.Key, "publish")
		},
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.Int64Var(&ifRevision, "if-revision", 0, "only if the key is at revision `N` now; 0: only if it does not exist")
	f.StringVar(&draft.Type, "type", "", "how to read it: json, yaml, toml, properties, xml, text, ... (default what the key has, else by the extension)")
	f.StringToStringVar(&draft.Meta, "meta", nil, "metadata, `NAME=VALUE[,...]`; double quotes around a pair with a comma in its VALUE (default what the key has)")
	f.Lookup("meta").DefValue = "" // the usage says it
	f.BoolVar(&draft.Reset, "reset", false, "forget the type and the metadata that the key has; --type and --meta alone count, and without --type it has none")
	f.StringVar(&comment, "comment", "", "why")
	f.BoolVar(&draft.AllowEmpty, "allow-empty", false, "publish a content too that is empty, blank, or says nothing, as only comments do")
	return cmd
}

// errBlank is of a content that is nearly always a mistake.
var errBlank = errors.New("content: is empty or blank, or says nothing in its format; --allow-empty publishes it all the same")

// checkSet refuses what every server would of a set that publishes draft, but for
// the content, which need not be there yet.
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

// commit commits set, of one change to key, and writes where it now is.
func (c *connection) commit(cmd *cobra.Command, set diamond.ChangeSet, key diamond.Key, op string) error {
	ctx, client, done, err := c.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	position, err := client.Commit(ctx, set)
	if errors.Is(err, diamond.ErrUnknownOutcome) {
		return fmt.Errorf("%w; see with `gdiamond history %s` whether it is there", err, key)
	}
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if c.output == formatTable {
		_, err := fmt.Fprintf(out, "%s %s revision %d\n", op, key, position.Revision)
		return err
	}
	return c.output.write(out, positionOut{
		keyOut: outKey(key), Op: op, Revision: position.Revision, Position: position.String(),
	})
}

// maxRead is how much is read of a file before it is known to be too much for
// any server of ours.
const maxRead = diamond.MaxSetBytes

// readContent returns the content that is all of in.
func readContent(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxRead+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxRead {
		return "", diamond.Errorf(diamond.ErrTooLarge, "content: more than %d bytes; a server takes %d unless it is told otherwise",
			maxRead, diamond.DefaultMaxContent)
	}
	return string(content), nil
}
