package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

func newWatch() *cobra.Command {
	var c connection
	var group, from string
	cmd := &cobra.Command{
		Use:   "watch [PREFIX|KEY]",
		Short: "Print changes as they happen",
		Long: `Print changes as they happen, until interrupted.

An argument with a slash is a KEY, and one without is a PREFIX of data ids. With -o json
each change is a line. Of changes that arrive together, the last has the position for
--from. If only other keys change, a line {"op":"position","position":"..."} has it every
25 s. Once it has started, watch reports when no server can be reached, and retries.

The documents of rights are in the namespace _govern. A watch of another namespace, or of '*',
does not show them.`,
		Example: "  gdiamond watch --namespace _govern\n  gdiamond watch _govern/grants/tenant:shop",
		Args:    arguments(0, 1, "at most a PREFIX or a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := diamond.ChangesRequest{Namespace: c.namespace, Group: group}
			var only diamond.Key
			switch {
			case len(args) == 0:
			case strings.Contains(args[0], "/"):
				key, err := c.anyKey(args[0])
				if err != nil {
					return err
				}
				if err := c.agrees("group", group, key.Group); err != nil {
					return err
				}
				only = key
				req.Namespace, req.Group, req.Prefix = key.Namespace, key.Group, key.DataID
			default:
				req.Prefix = args[0]
			}
			filter := diamond.Filter{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}
			documents := req.Namespace == govern.SystemNamespace
			if documents {
				filter.Namespace = "" // which this command takes
			}
			if err := checkFilter(filter); err != nil {
				return err
			}
			after, err := startOf(from)
			if err != nil {
				return err
			}
			// The user is told when no server can be reached.
			logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			ctx, client, done, err := c.client(cmd.Context(), diamond.WithLogger(logger))
			if err != nil {
				return err
			}
			defer done()
			head, err := client.Head(ctx) // also with --from, so that the command fails if there is no server
			if err != nil {
				return err
			}
			if from == "" {
				after = head
			}
			req.After = after
			if documents {
				tell := func(s string) { fmt.Fprintln(cmd.ErrOrStderr(), "gdiamond: "+s) }
				if err := c.mayWatch(ctx, client, only, tell); err != nil {
					return c.aboutDocuments(cmd.Context(), req.Namespace, err)
				}
			}
			err = c.follow(cmd.Context(), cmd.OutOrStdout(), client, req, only)
			return c.aboutDocuments(cmd.Context(), req.Namespace, err)
		},
	}
	c.flags(cmd)
	c.takesAllNamespaces()
	cmd.Flags().StringVarP(&group, "group", "g", "", "watch only this group")
	cmd.Flags().StringVar(&from, "from", "", "begin after `POSITION`, or at the \"start\" of the history (default now)")
	return cmd
}

// startOf parses the flag --from.
func startOf(from string) (diamond.Position, error) {
	if from == "start" {
		return diamond.Position{}, nil
	}
	position, err := conf.ParsePosition(from)
	if err != nil {
		return position, usageError{fmt.Errorf("from: %q is not a POSITION, which `gdiamond watch -o json` prints with the changes; "+
			"--from start begins with the whole history", from)}
	}
	return position, nil
}

// follow prints the changes of req until ctx ends. If only is set, it prints those of
// that key. As JSON and YAML it also prints the position when nothing matched that came
// before it, so that what a later watch begins from is never long past.
func (c *connection) follow(ctx context.Context, w io.Writer, client diamond.Client, req diamond.ChangesRequest, only diamond.Key) error {
	for res, err := range client.Watch(ctx, req) {
		if ctx.Err() != nil {
			return nil // an interrupt is the normal end of a watch
		}
		if err != nil {
			return restarted(err)
		}
		moved := res.Position != req.After
		req.After = res.Position
		var changes []changeOut
		for _, change := range res.Changes {
			if only == (diamond.Key{}) || change.Key == only || change.Op == diamond.OpFork {
				changes = append(changes, outChange(change))
			}
		}
		for i, change := range changes {
			if i == len(changes)-1 {
				change.Position = res.Position.String()
			}
			if err := c.printChange(w, change); err != nil {
				return err
			}
		}
		if len(changes) == 0 && moved && c.output != formatTable {
			if err := c.output.writeOne(w, reachedOut{"position", res.Position.String()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// restarted adds to an error how to continue if the requested history does not exist.
func restarted(err error) error {
	switch {
	case errors.Is(err, diamond.ErrEpoch), errors.Is(err, diamond.ErrOtherStore):
		return fmt.Errorf("%w; start again, or with --from start", err)
	case errors.Is(err, diamond.ErrCompacted):
		return fmt.Errorf("%w; start again without --from", err)
	}
	return err
}

func (c *connection) printChange(w io.Writer, change changeOut) error {
	if c.output != formatTable {
		return c.output.writeOne(w, change)
	}
	name := "-" // a fork has no key
	if change.DataID != "" {
		name = change.Namespace + "/" + change.Group + "/" + change.DataID
	}
	by := ""
	if change.Author != "" {
		by = "by " + change.Author + "  "
	}
	_, err := fmt.Fprintf(w, "%s  revision %d  %s  %s  %d bytes  %s%s\n", shortTime(change.Time), change.Revision,
		change.Op, name, change.Size, by, dash(change.Comment))
	return err
}
