package main

import (
	"strconv"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

func newNamespace() *cobra.Command {
	return group("namespace", "Manage namespaces, each in one environment of a tenant",
		newNamespaceCreate(), newNamespaceSet(), newNamespaceRm(), newNamespaceFreeze(), newNamespaceUnfreeze(),
		newKindShow(govern.KindNamespace),
		newKindLs(govern.KindNamespace, "ID TENANT ENVIRONMENT KEYS BYTES CONTENT FROZEN OWNER", func(doc govern.Document) []string {
			n := doc.(*govern.Namespace)
			frozen := "-"
			if n.Frozen != nil {
				frozen = "by " + n.Frozen.By
			}
			return []string{
				n.ID, dash(n.Tenant), dash(n.Environment), limit(n.Quota.Keys), limit(n.Quota.Bytes), limit(n.Quota.Content), frozen, dash(n.Owner),
			}
		}))
}

// limit returns a limit for a table.
func limit(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// quota has the flags of the limits of a namespace.
type quota struct{ keys, bytes, content int64 }

func (q *quota) flags(cmd *cobra.Command) {
	countFlag(cmd, &q.keys, "max-keys", "keys")
	countFlag(cmd, &q.bytes, "max-bytes", "bytes of all contents together")
	countFlag(cmd, &q.content, "max-content", "bytes in one content")
}

// apply sets the limits whose flags are given.
func (q *quota) apply(cmd *cobra.Command, to *govern.Quota) {
	for name, limit := range map[string]struct {
		to *int64
		n  int64
	}{"max-keys": {&to.Keys, q.keys}, "max-bytes": {&to.Bytes, q.bytes}, "max-content": {&to.Content, q.content}} {
		if cmd.Flags().Changed(name) {
			*limit.to = limit.n
		}
	}
}

// check refuses invalid limits.
func (q *quota) check() error {
	if q.keys < 0 || q.bytes < 0 || q.content < 0 {
		return usageError{conf.Errorf(diamond.ErrInvalid, "max-keys, max-bytes, max-content: a limit is negative")}
	}
	return nil
}

func newNamespaceCreate() *cobra.Command {
	var s steward
	var a about
	var q quota
	var id string
	cmd := &cobra.Command{
		Use:   "create TENANT ENVIRONMENT",
		Short: "Create the namespace of an environment of a tenant",
		Long: `Create the namespace of an environment of a tenant. Its id is TENANT.ENVIRONMENT unless --id
says another.

A namespace that was removed can be created again, in the same tenant and environment only,
because its history is still there.`,
		Args: arguments(2, 2, "a TENANT and an ENVIRONMENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := q.check(); err != nil {
				return err
			}
			if id == "" {
				id = args[0] + "." + args[1]
			}
			return update(cmd, &s, "create", &govern.Namespace{ID: id}, func(n *govern.Namespace, exists bool) error {
				if err := mustBe(false, exists && !n.Deleted, n); err != nil {
					return err
				}
				if exists && (n.Tenant != args[0] || n.Environment != args[1]) {
					return conf.Errorf(diamond.ErrConflict, "%s: was the namespace of %s %s, and cannot become another's", id, n.Tenant, n.Environment)
				}
				n.Tenant, n.Environment, n.Deleted = args[0], args[1], false
				a.apply(cmd, &n.Owner, &n.Description)
				q.apply(cmd, &n.Quota)
				return nil
			})
		},
	}
	s.flags(cmd)
	a.flags(cmd)
	q.flags(cmd)
	cmd.Flags().StringVar(&id, "id", "", "`ID` of the namespace (default TENANT.ENVIRONMENT)")
	return cmd
}

func newNamespaceSet() *cobra.Command {
	var a about
	var q quota
	check := func(*steward) error { return q.check() }
	cmd := newNamespaceChange("set", "Change a namespace; what no flag names stays as it is", check, func(cmd *cobra.Command, _ *steward, n *govern.Namespace) error {
		a.apply(cmd, &n.Owner, &n.Description)
		q.apply(cmd, &n.Quota)
		return nil
	})
	a.flags(cmd)
	q.flags(cmd)
	return cmd
}

func newNamespaceRm() *cobra.Command {
	cmd, s := newNamespaceCommand("rm", "Remove a namespace that has no keys; its history stays", nil, func(_ *cobra.Command, _ *steward, n *govern.Namespace) error {
		n.Deleted = true
		return nil
	})
	cmd.Flags().BoolVar(&s.force, "force", false, "remove it with the keys that it has; needs a right to do so, and --comment with the reason")
	return cmd
}

func newNamespaceFreeze() *cobra.Command {
	check := func(s *steward) error { return s.needsComment("a freeze") }
	return newNamespaceChange("freeze", "Refuse all changes in a namespace, except by force; --comment says why", check, func(_ *cobra.Command, s *steward, n *govern.Namespace) error {
		if n.Frozen == nil {
			n.Frozen = &govern.Freeze{}
		}
		n.Frozen.Reason = s.comment // by whom it is frozen, the servers write
		return nil
	})
}

func newNamespaceUnfreeze() *cobra.Command {
	return newNamespaceChange("unfreeze", "Let changes in a namespace through again", nil, func(_ *cobra.Command, _ *steward, n *govern.Namespace) error {
		n.Frozen = nil
		return nil
	})
}

// newNamespaceChange returns a command that changes a namespace that is there. check, or
// nil, refuses wrong flags before a server is asked.
func newNamespaceChange(name, short string, check func(s *steward) error, change func(cmd *cobra.Command, s *steward, n *govern.Namespace) error) *cobra.Command {
	cmd, _ := newNamespaceCommand(name, short, check, change)
	return cmd
}

func newNamespaceCommand(name, short string, check func(s *steward) error, change func(cmd *cobra.Command, s *steward, n *govern.Namespace) error) (*cobra.Command, *steward) {
	s := new(steward)
	cmd := &cobra.Command{
		Use:   name + " ID",
		Short: short,
		Args:  arguments(1, 1, "an ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if check != nil {
				if err := check(s); err != nil {
					return err
				}
			}
			return update(cmd, s, name, &govern.Namespace{ID: args[0]}, func(n *govern.Namespace, exists bool) error {
				if err := mustBe(true, exists && !n.Deleted, n); err != nil {
					return err
				}
				return change(cmd, s, n)
			})
		},
	}
	s.flags(cmd)
	return cmd, s
}
