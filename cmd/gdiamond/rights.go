package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
)

// steward has the flags of a command that reads or changes documents of rights.
type steward struct {
	connection
	comment string
	force   bool
}

// common declares the flags of a command about documents, whose errors it makes say if there
// are no rights at all.
func (s *steward) common(cmd *cobra.Command) {
	s.connection.common(cmd)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if errors.Is(err, diamond.ErrDenied) && s.isOpen(cmd.Context()) {
			return errOpen
		}
		return err
	}
}

// flags declares the flags of a command that changes documents.
func (s *steward) flags(cmd *cobra.Command) {
	s.common(cmd)
	cmd.Flags().StringVar(&s.comment, "comment", "", "reason, kept in the history")
}

// changedOut is the result of a change of a document in the output.
type changedOut struct {
	Op       string `json:"op" yaml:"op"`
	Kind     string `json:"kind" yaml:"kind"`
	Name     string `json:"name" yaml:"name"`
	Revision int64  `json:"revision,omitempty" yaml:"revision,omitempty"` // 0: nothing was to be changed
}

// update changes the document of the kind and the name of named, and writes what it did.
func update[D govern.Document](cmd *cobra.Command, s *steward, op string, named D, change func(doc D, exists bool) error) error {
	revision, err := updateQuietly(cmd, s, named, change)
	if err != nil {
		return err
	}
	return s.changed(cmd, changedOut{op, named.Key().Group, named.Key().DataID, revision})
}

// updateQuietly changes a document and returns the revision at which it was written, or 0
// if nothing was to be changed.
func updateQuietly[D govern.Document](cmd *cobra.Command, s *steward, named D, change func(doc D, exists bool) error) (int64, error) {
	if err := s.checkNamed(named); err != nil {
		return 0, err
	}
	ctx, client, done, err := s.client(cmd.Context())
	if err != nil {
		return 0, err
	}
	defer done()
	position, err := admin.Update(ctx, client, named, admin.Options{Comment: s.comment, Force: s.force}, change)
	return position.Revision, err
}

// checkNamed refuses a name and a comment that every server would refuse.
func (s *steward) checkNamed(doc govern.Document) error {
	if _, err := govern.NewDocument(doc.Key()); err != nil {
		return usageError{err}
	}
	return cmp.Or(checkSet(diamond.Draft{Key: doc.Key()}, s.comment), checkForce(s.force, s.comment))
}

// changed writes what a command changed.
func (s *steward) changed(cmd *cobra.Command, change changedOut) error {
	if s.output != formatTable {
		return s.output.write(cmd.OutOrStdout(), change)
	}
	what := fmt.Sprintf("revision %d", change.Revision)
	if change.Revision == 0 {
		what = "nothing to change"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s: %s\n", change.Op, change.Kind, change.Name, what)
	return err
}

// remove deletes the entry of a document.
func (s *steward) remove(cmd *cobra.Command, doc govern.Document) error {
	if err := s.checkNamed(doc); err != nil {
		return err
	}
	ctx, client, done, err := s.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	position, err := client.Commit(ctx, diamond.ChangeSet{Deletes: []diamond.Delete{{Key: doc.Key()}}, Comment: s.comment})
	if err != nil {
		return err
	}
	return s.changed(cmd, changedOut{"remove", doc.Key().Group, doc.Key().DataID, position.Revision})
}

// mustBe returns ErrNotFound for a document that is not there, and ErrConflict for one
// that is there and should not be.
func mustBe(wanted, exists bool, doc govern.Document) error {
	key := doc.Key()
	switch {
	case wanted && !exists:
		return conf.Errorf(diamond.ErrNotFound, "%s: there is no %s of that name", key.DataID, key.Group)
	case !wanted && exists:
		return conf.Errorf(diamond.ErrConflict, "%s: a %s of that name is there already", key.DataID, key.Group)
	}
	return nil
}

// newKindLs returns the command that lists the documents of a kind: row returns the cells
// of one under heading. What is unusual about one is in a last column, for which documents of
// other kinds may be needed.
func newKindLs(kind, heading string, row func(doc govern.Document) []string, others ...string) *cobra.Command {
	var s steward
	var everything bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List each " + kind + " that you may read",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.census(cmd.Context(), append(others, kind)...)
			if err != nil {
				return err
			}
			shown := []map[string]any{} // an empty list is not null
			rows := [][]string{}
			for _, stored := range c.of(kind) {
				if ended(stored.Document) != "" && !everything {
					continue
				}
				fields, err := fieldsOf(stored)
				if err != nil {
					return err
				}
				state := c.state(stored.Document)
				if state != "" {
					fields["state"] = state
				}
				shown = append(shown, fields)
				rows = append(rows, append(row(stored.Document), dash(state)))
			}
			if s.output != formatTable {
				return s.output.write(cmd.OutOrStdout(), shown)
			}
			return table(cmd.OutOrStdout(), heading+" STATE", rows)
		},
	}
	s.common(cmd)
	cmd.Flags().BoolVarP(&everything, "all", "a", false, "also list what is retired or deleted")
	return cmd
}

// ended says that a document is of something that is no more, or returns "".
func ended(doc govern.Document) string {
	retired, deleted := false, false
	switch doc := doc.(type) {
	case *govern.Tenant:
		deleted = doc.Deleted
	case *govern.Namespace:
		deleted = doc.Deleted
	case *govern.User:
		retired = doc.Retired
	case *govern.Token:
		retired = doc.Retired
	case *govern.Team:
		retired = doc.Retired
	}
	switch {
	case retired:
		return "retired"
	case deleted:
		return "deleted"
	}
	return ""
}

// newKindShow returns the command that shows one document.
func newKindShow(kind string) *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one " + kind,
		Args:  arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			named, err := govern.NewDocument(govern.KeyOf(kind, args[0]))
			if err != nil {
				return usageError{err}
			}
			ctx, client, done, err := s.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			doc, revision, err := admin.Read(ctx, client, named)
			if err != nil {
				return err
			}
			fields, err := fieldsOf(admin.Stored{Document: doc, Revision: revision})
			if err != nil {
				return err
			}
			if s.output != formatTable {
				return s.output.write(cmd.OutOrStdout(), fields)
			}
			var rows [][]string
			for _, name := range orderedNames(fields) {
				rows = append(rows, []string{name, cell(fields[name])})
			}
			return table(cmd.OutOrStdout(), "FIELD VALUE", rows)
		},
	}
	s.common(cmd)
	return cmd
}

// fieldsOf returns a document for the output: its fields, with its name and its revision.
func fieldsOf(stored admin.Stored) (map[string]any, error) {
	content, err := govern.Encode(stored.Document)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	decoder := json.NewDecoder(strings.NewReader(content))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	delete(fields, "format")
	fields[nameField(stored.Document.Key().Group)] = stored.Document.Key().DataID
	fields["revision"] = stored.Revision
	return plainNumbers(fields).(map[string]any), nil
}

// plainNumbers replaces the numbers of JSON, which YAML would write as texts.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for name, value := range v {
			v[name] = plainNumbers(value)
		}
	case []any:
		for i, value := range v {
			v[i] = plainNumbers(value)
		}
	}
	return v
}

// nameField is how a document of a kind calls its name, in files and in the output.
func nameField(kind string) string {
	switch kind {
	case govern.KindNamespace:
		return "id"
	case govern.KindGrants:
		return "scope"
	}
	return "name"
}

// orderedNames returns the names of fields, the name of the document first.
func orderedNames(fields map[string]any) []string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	rank := func(name string) string {
		if name == "id" || name == "scope" || name == "name" {
			return ""
		}
		return name
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(rank(a), rank(b)) })
	return names
}

// cell returns a value of JSON for a table.
func cell(v any) string {
	switch v := v.(type) {
	case string:
		return dash(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = cell(item)
		}
		return dash(strings.Join(parts, ","))
	case map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return "-"
		}
		return string(text)
	}
	return fmt.Sprint(v)
}
