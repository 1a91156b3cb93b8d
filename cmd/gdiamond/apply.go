package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
)

// applying has the flags of the command apply.
type applying struct {
	steward
	path               string
	dryRun, prune, yes bool
}

func newApply() *cobra.Command {
	var a applying
	cmd := &cobra.Command{
		Use:   "apply -f DIR|FILE",
		Short: "Make tenants, namespaces, roles, principals and grants what files say",
		Long: `Make tenants, namespaces, roles, users, tokens, teams and grants what files say, after showing
the plan.

A file is YAML or JSON, and may have several documents, each with a kind: ` + strings.Join(kindNames(), ", ") + `.
A document has a name; a namespace has an id instead, which is TENANT.ENVIRONMENT if it is left
out, and grants have the scope that they are about. In a directory, files that end in .yaml,
.yml or .json are read, also below it. A field that a document leaves out is set to nothing.

What the servers have and no file has is drift. Only kinds that stand in the files are
compared, and never the built-in roles and the namespace public. --prune removes drift; users,
tokens and teams are retired, for ever, but not the one that runs the command. Files have
no secrets: a token that they create can be used after ` + "`gdiamond token rotate NAME`" + ` has
given it one.

Documents are committed together, in sets of up to 900, on the condition that nobody has
changed them since the plan. With --dry-run the exit code is 5 if there are differences.`,
		Example: "  gdiamond apply -f rights/ --dry-run",
		Args:    arguments(0, 0, "no arguments, but -f"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd) },
	}
	a.flags(cmd)
	forceFlag(cmd, &a.force)
	f := cmd.Flags()
	f.StringVarP(&a.path, "file", "f", "", "`DIR|FILE` with the documents")
	f.BoolVar(&a.dryRun, "dry-run", false, "show the plan only")
	f.BoolVar(&a.prune, "prune", false, "remove what no file has")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask before applying")
	return cmd
}

// appliedOut is the result of an apply in the output.
type appliedOut struct {
	Plan     plan  `json:"plan" yaml:"plan"`
	Applied  int   `json:"applied" yaml:"applied"` // documents
	Revision int64 `json:"revision,omitempty" yaml:"revision,omitempty"`
	DryRun   bool  `json:"dryRun,omitempty" yaml:"dryRun,omitempty"`
}

func (a *applying) run(cmd *cobra.Command) error {
	switch {
	case a.path == "":
		return usageError{errors.New("file: apply needs -f with a directory or a file")}
	case a.output != formatTable && !a.yes && !a.dryRun:
		return usageError{fmt.Errorf("yes: apply -o %s cannot ask; give --yes or --dry-run", a.output)}
	}
	if err := cmp.Or(checkSet(diamond.Draft{Key: diamond.Key{DataID: "x"}}, a.comment), checkForce(a.force, a.comment)); err != nil {
		return err
	}
	files, err := readWanted(a.path)
	if err != nil {
		return nothingApplied(cmd, err)
	}
	_, client, done, err := a.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	todo, err := a.plan(cmd, client, files)
	if err != nil {
		return err
	}
	differences := todo.count(actionCreate, actionChange, actionRemove)
	if a.output == formatTable {
		if err := todo.write(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	out := appliedOut{Plan: todo, DryRun: a.dryRun}
	if !a.dryRun && differences > 0 {
		if err := a.confirm(cmd, differences); err != nil {
			return err
		}
		if err := a.commitAll(cmd.Context(), client, todo, &out); err != nil {
			return err
		}
		if a.output == formatTable {
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "applied %d documents, revision %d\n", out.Applied, out.Revision); err != nil {
				return err
			}
		}
	}
	if a.output != formatTable {
		if err := a.output.write(cmd.OutOrStdout(), out); err != nil {
			return err
		}
	}
	if a.dryRun && differences+todo.count(actionDrift) > 0 {
		return errNo
	}
	return nil
}

// nothingApplied prints each of the problems in a line, and returns one error about them
// all.
func nothingApplied(cmd *cobra.Command, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) == 1 {
		return err
	}
	for _, problem := range joined.Unwrap() {
		fmt.Fprintln(cmd.ErrOrStderr(), errorLine(problem))
	}
	return conf.Errorf(diamond.ErrInvalid, "nothing was applied: there are %d problems", len(joined.Unwrap()))
}

// plan compares the files with the documents of the servers.
func (a *applying) plan(cmd *cobra.Command, client diamond.Client, files []wanted) (plan, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	present := map[conf.Key]admin.Stored{}
	read := map[string]bool{}
	for _, w := range files {
		kind := w.doc.Key().Group
		if read[kind] {
			continue
		}
		read[kind] = true
		for stored, err := range admin.List(ctx, client, kind) {
			if err != nil {
				return nil, err
			}
			present[stored.Document.Key()] = stored
		}
	}
	todo, problems := makePlan(files, present)
	if len(problems) > 0 {
		return nil, nothingApplied(cmd, errors.Join(problems...))
	}
	if !a.prune {
		return todo, nil
	}
	who, err := a.whoami(ctx)
	if err != nil {
		return nil, err
	}
	return todo, todo.prune(present, who.Principal)
}

// write writes what is to be done, and counts the rest.
func (p plan) write(w io.Writer) error {
	var b strings.Builder
	for _, s := range p {
		if s.Action == actionSame {
			continue
		}
		verb := s.Action
		if s.Action == actionRemove && (s.Kind == govern.KindUser || s.Kind == govern.KindToken || s.Kind == govern.KindTeam) {
			verb = "retire"
		}
		fmt.Fprintf(&b, "%-7s %s %s\n", verb, s.Kind, s.Name)
		for _, c := range s.Changes {
			switch {
			case c.Old == "" || s.Action == actionCreate:
				fmt.Fprintf(&b, "          %s: + %s\n", c.Field, c.New)
			case c.New == "":
				fmt.Fprintf(&b, "          %s: - %s\n", c.Field, c.Old)
			default:
				fmt.Fprintf(&b, "          %s: - %s  + %s\n", c.Field, c.Old, c.New)
			}
		}
	}
	fmt.Fprintf(&b, "%d to create, %d to change, %d to remove, %d same, %d drift\n",
		p.count(actionCreate), p.count(actionChange), p.count(actionRemove), p.count(actionSame), p.count(actionDrift))
	_, err := io.WriteString(w, b.String())
	return err
}

// confirm asks whether to apply the plan.
func (a *applying) confirm(cmd *cobra.Command, differences int) error {
	if a.yes {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Apply %d documents? [y/N] ", differences)
	in, err := input(cmd.Context(), cmd.InOrStdin(), "-")
	if err != nil {
		return err
	}
	defer in.Close()
	line, err := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was applied: the answer was not yes")
}

// commitAll commits the plan. An error says how much was applied.
func (a *applying) commitAll(ctx context.Context, client diamond.Client, todo plan, out *appliedOut) error {
	for _, set := range todo.sets(cmp.Or(a.comment, "apply")) {
		set.Origin, set.Force = originApplying, a.force
		position, err := a.commitSet(ctx, client, set)
		if err != nil {
			are := "were"
			if errors.Is(err, diamond.ErrUnknownOutcome) {
				are = "are known to be"
			}
			if errors.Is(err, diamond.ErrConflict) {
				err = fmt.Errorf("%w; apply again for a new plan", err)
			}
			return fmt.Errorf("%w (%d of %d documents %s applied)", err, out.Applied, todo.count(actionCreate, actionChange, actionRemove), are)
		}
		out.Applied += set.Len()
		out.Revision = position.Revision
	}
	return nil
}
