package main

import (
	"cmp"
	"slices"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

func newGrant() *cobra.Command {
	return group("grant", "Manage grants, which give a role on a scope to a subject",
		newGrantChange("add", "Give a role on a scope to a subject", func(g *govern.Grants, grant govern.Grant) error {
			if !slices.ContainsFunc(g.Grants, equals(grant)) {
				g.Grants = append(g.Grants, grant)
			}
			return nil
		}),
		newGrantChange("rm", "Take a role on a scope from a subject", func(g *govern.Grants, grant govern.Grant) error {
			if !slices.ContainsFunc(g.Grants, equals(grant)) {
				return conf.Errorf(diamond.ErrNotFound, "%s has no grant of the role %s on %s", grant.Subject, grant.Role, g.Scope)
			}
			g.Grants = slices.DeleteFunc(g.Grants, equals(grant))
			return nil
		}),
		newGrantLs())
}

// equals reports whether a grant gives what another gives.
func equals(a govern.Grant) func(govern.Grant) bool {
	return func(b govern.Grant) bool {
		return a.Subject == b.Subject && a.Role == b.Role && a.GroupPrefix == b.GroupPrefix
	}
}

const scopeHelp = `A SUBJECT is user:NAME, token:NAME, team:NAME, cert:KIND:NAME (KIND is dns, uri or email) or
anonymous. A SCOPE is all, tenant:TENANT, environment:TENANT:ENVIRONMENT, namespace:ID, or
namespace:ID/PREFIX for the groups that begin with PREFIX.`

// newGrantChange returns a command that changes the grants on a scope.
func newGrantChange(name, short string, change func(g *govern.Grants, grant govern.Grant) error) *cobra.Command {
	var s steward
	var prefix string
	cmd := &cobra.Command{
		Use:     name + " SUBJECT ROLE SCOPE",
		Short:   short,
		Long:    short + ".\n\n" + scopeHelp,
		Example: "  gdiamond grant " + name + " team:pay.developers reader tenant:pay",
		Args:    arguments(3, 3, "a SUBJECT, a ROLE and a SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			scope, err := govern.ParseScope(args[2])
			if err != nil {
				return usageError{err}
			}
			if scope.GroupPrefix != "" && prefix != "" {
				return usageError{conf.Invalidf("group-prefix: the SCOPE has one already")}
			}
			grant := govern.Grant{Subject: args[0], Role: args[1], GroupPrefix: cmp.Or(prefix, scope.GroupPrefix)}
			scope.GroupPrefix = ""
			grants := &govern.Grants{Scope: scope}
			if err := govern.Validate(&govern.Grants{Scope: scope, Grants: []govern.Grant{grant}}); err != nil {
				return usageError{err}
			}
			return update(cmd, &s, name, grants, func(g *govern.Grants, _ bool) error { return change(g, grant) })
		},
	}
	s.flags(cmd)
	cmd.Flags().StringVar(&prefix, "group-prefix", "", "only in the groups of the namespace that begin with `PREFIX`")
	return cmd
}

// grantOut is a grant in the output.
type grantOut struct {
	Scope       string `json:"scope" yaml:"scope"`
	Subject     string `json:"subject" yaml:"subject"`
	Role        string `json:"role" yaml:"role"`
	GroupPrefix string `json:"groupPrefix,omitempty" yaml:"groupPrefix,omitempty"`
	State       string `json:"state,omitempty" yaml:"state,omitempty"` // why it gives nothing, or not for long
}

func newGrantLs() *cobra.Command {
	var s steward
	var scope, subject string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the grants that you may read",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if scope != "" {
				if _, err := govern.ParseScope(scope); err != nil {
					return usageError{err}
				}
			}
			if subject != "" {
				if _, err := govern.ParseSubject(subject); err != nil {
					return usageError{err}
				}
			}
			c, err := s.census(cmd.Context(), govern.KindGrants, govern.KindUser, govern.KindToken, govern.KindTeam, govern.KindTenant, govern.KindNamespace)
			if err != nil {
				return err
			}
			shown := []grantOut{}
			var rows [][]string
			for _, stored := range c.of(govern.KindGrants) {
				g := stored.Document.(*govern.Grants)
				for _, grant := range g.Grants {
					if scope != "" && g.Scope.String() != scope || subject != "" && grant.Subject != subject {
						continue
					}
					out := grantOut{g.Scope.String(), grant.Subject, grant.Role, grant.GroupPrefix, c.grant(g.Scope, &grant)}
					shown = append(shown, out)
					rows = append(rows, []string{out.Scope, out.Subject, out.Role, dash(out.GroupPrefix), dash(out.State)})
				}
			}
			if s.output != formatTable {
				return s.output.write(cmd.OutOrStdout(), shown)
			}
			return table(cmd.OutOrStdout(), "SCOPE SUBJECT ROLE GROUP-PREFIX STATE", rows)
		},
	}
	s.common(cmd)
	cmd.Flags().StringVar(&scope, "scope", "", "only grants on exactly this `SCOPE`")
	cmd.Flags().StringVar(&subject, "subject", "", "only grants to this `SUBJECT`")
	return cmd
}
