package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

func newTenant() *cobra.Command {
	return group("tenant", "Manage tenants, which share the centre",
		newTenantCreate(), newTenantSet(), newTenantRm(), newKindShow(govern.KindTenant),
		newKindLs(govern.KindTenant, "NAME ENVIRONMENTS OWNER DESCRIPTION", func(doc govern.Document) []string {
			t := doc.(*govern.Tenant)
			return []string{t.Name, dash(strings.Join(t.Environments, ",")), dash(t.Owner), dash(t.Description)}
		}))
}

// documentQuota has the flags of the limits of a tenant's documents.
type documentQuota struct{ documents, bytes int64 }

func (q *documentQuota) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Int64Var(&q.documents, "max-documents", 0, fmt.Sprintf("let it have at most `N` documents, retired ones too; 0 is the default of %d; needs administer on all", govern.DefaultTenantDocuments))
	f.Int64Var(&q.bytes, "max-document-bytes", 0, fmt.Sprintf("let its documents have at most `N` bytes together; 0 is the default of %d; needs administer on all", govern.DefaultTenantDocumentBytes))
}

// apply sets the limits whose flags are given.
func (q *documentQuota) apply(cmd *cobra.Command, to *govern.DocumentQuota) {
	if cmd.Flags().Changed("max-documents") {
		to.Documents = q.documents
	}
	if cmd.Flags().Changed("max-document-bytes") {
		to.Bytes = q.bytes
	}
}

// check refuses invalid limits.
func (q *documentQuota) check() error {
	if q.documents < 0 || q.bytes < 0 {
		return usageError{conf.Errorf(diamond.ErrInvalid, "max-documents, max-document-bytes: a limit is negative")}
	}
	return nil
}

// about has the flags of what has an owner and a description.
type about struct{ owner, description string }

func (a *about) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.owner, "owner", "", "whom to ask about it")
	a.describe(cmd)
}

// describe declares the flag of what has a description alone.
func (a *about) describe(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.description, "description", "", "what it is for")
}

// apply sets the fields whose flags are given.
func (a *about) apply(cmd *cobra.Command, owner, description *string) {
	if owner != nil && cmd.Flags().Changed("owner") {
		*owner = a.owner
	}
	if cmd.Flags().Changed("description") {
		*description = a.description
	}
}

func newTenantCreate() *cobra.Command {
	var s steward
	var a about
	var q documentQuota
	environments := govern.DefaultEnvironments()
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a tenant; its namespaces are created by `namespace create`",
		Args:  arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.check(); err != nil {
				return err
			}
			return update(cmd, &s, "create", &govern.Tenant{Name: args[0]}, func(t *govern.Tenant, exists bool) error {
				if err := mustBe(false, exists && !t.Deleted, t); err != nil {
					return err
				}
				t.Environments, t.Deleted = environments, false
				a.apply(cmd, &t.Owner, &t.Description)
				q.apply(cmd, &t.Quota)
				return nil
			})
		},
	}
	s.flags(cmd)
	a.flags(cmd)
	q.flags(cmd)
	listVar(cmd.Flags(), &environments, "environments", nil, "`NAME[,...]` of its environments, in the order in which changes travel")
	return cmd
}

func newTenantSet() *cobra.Command {
	var s steward
	var a about
	var q documentQuota
	var environments []string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change a tenant; what no flag names stays as it is",
		Args:  arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.check(); err != nil {
				return err
			}
			return update(cmd, &s, "set", &govern.Tenant{Name: args[0]}, func(t *govern.Tenant, exists bool) error {
				if err := mustBe(true, exists && !t.Deleted, t); err != nil {
					return err
				}
				if cmd.Flags().Changed("environments") {
					t.Environments = environments
				}
				a.apply(cmd, &t.Owner, &t.Description)
				q.apply(cmd, &t.Quota)
				return nil
			})
		},
	}
	s.flags(cmd)
	a.flags(cmd)
	q.flags(cmd)
	listVar(cmd.Flags(), &environments, "environments", nil, "`NAME[,...]` of all its environments, in the order in which changes travel")
	return cmd
}

func newTenantRm() *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a tenant that has no namespaces",
		Args:  arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return update(cmd, &s, "remove", &govern.Tenant{Name: args[0]}, func(t *govern.Tenant, exists bool) error {
				t.Deleted = true
				return mustBe(true, exists, t)
			})
		},
	}
	s.flags(cmd)
	return cmd
}

// needsComment refuses a change without a reason.
func (s *steward) needsComment(what string) error {
	if s.comment == "" {
		return usageError{conf.Errorf(diamond.ErrInvalid, "comment: %s needs a reason", what)}
	}
	return nil
}

// countFlag is a flag for a limit: a number, or 0 for none.
func countFlag(cmd *cobra.Command, n *int64, name, what string) {
	cmd.Flags().Int64Var(n, name, 0, fmt.Sprintf("let it have at most `N` %s; 0 is no limit", what))
}
