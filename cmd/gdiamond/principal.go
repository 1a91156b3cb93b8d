package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

func newUser() *cobra.Command {
	return group("user", "Manage users", newUserCreate(),
		newRetire("user", "retire", "Take all rights from a user, for ever; the name is not used again", func(name string) govern.Document { return &govern.User{Name: name} }),
		newKindShow(govern.KindUser),
		newKindLs(govern.KindUser, "NAME DESCRIPTION", func(doc govern.Document) []string {
			u := doc.(*govern.User)
			return []string{u.Name, dash(u.Description)}
		}))
}

func newUserCreate() *cobra.Command {
	var s steward
	var a about
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a user; a user TENANT.NAME belongs to the tenant",
		Args:  arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return update(cmd, &s, "create", &govern.User{Name: args[0]}, func(u *govern.User, exists bool) error {
				a.apply(cmd, nil, &u.Description)
				return mustBe(false, exists, u)
			})
		},
	}
	s.flags(cmd)
	a.describe(cmd)
	return cmd
}

// newRetire returns the command that retires a user, a team or a token.
func newRetire(kind, name, short string, named func(name string) govern.Document) *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:     name + " NAME",
		Aliases: []string{"rm"}, // as of what can come back
		Short:   short,
		Args:    arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return update(cmd, &s, name, named(args[0]), func(doc govern.Document, exists bool) error {
				if err := mustBe(true, exists, doc); err != nil {
					return err
				}
				return retire(doc)
			})
		},
	}
	s.flags(cmd)
	return cmd
}

// retire takes all rights from what a document is about.
func retire(doc govern.Document) error {
	switch doc := doc.(type) {
	case *govern.User:
		doc.Retired = true
	case *govern.Team:
		doc.Retired, doc.Members = true, nil
	case *govern.Token:
		doc.Retired, doc.Secrets = true, nil
	default:
		return fmt.Errorf("a %s cannot be retired", doc.Key().Group)
	}
	return nil
}

// errRetired is the error for a name that is not used again.
func errRetired(doc govern.Document) error {
	return conf.Errorf(diamond.ErrConflict, "%s: the %s is retired, and its name is not used again", doc.Key().DataID, doc.Key().Group)
}

func newTeam() *cobra.Command {
	return group("team", "Manage teams of users and tokens", newTeamCreate(),
		newTeamMembers("add", "Put users and tokens into a team", func(members, given []string) []string {
			for _, m := range given {
				if !slices.Contains(members, m) {
					members = append(members, m)
				}
			}
			return members
		}),
		newTeamMembers("remove", "Take users and tokens out of a team", func(members, given []string) []string {
			return slices.DeleteFunc(members, func(m string) bool { return slices.Contains(given, m) })
		}),
		newRetire("team", "retire", "Take all rights and members from a team, for ever; the name is not used again", func(name string) govern.Document { return &govern.Team{Name: name} }),
		newKindShow(govern.KindTeam),
		newKindLs(govern.KindTeam, "NAME MEMBERS DESCRIPTION", func(doc govern.Document) []string {
			t := doc.(*govern.Team)
			return []string{t.Name, strconv.Itoa(len(t.Members)), dash(t.Description)}
		}, govern.KindUser, govern.KindToken))
}

func newTeamCreate() *cobra.Command {
	var s steward
	var a about
	cmd := &cobra.Command{
		Use:   "create NAME [MEMBER...]",
		Short: "Create a team; a team TENANT.NAME belongs to the tenant",
		Long:  "Create a team. A team TENANT.NAME belongs to the tenant. A MEMBER is user:NAME or token:NAME.",
		Args:  arguments(1, conf.MaxChanges, "a NAME and MEMBERs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkMembers(args[1:]); err != nil {
				return err
			}
			return update(cmd, &s, "create", &govern.Team{Name: args[0]}, func(t *govern.Team, exists bool) error {
				a.apply(cmd, nil, &t.Description)
				t.Members = args[1:]
				return mustBe(false, exists, t)
			})
		},
	}
	s.flags(cmd)
	a.describe(cmd)
	return cmd
}

// newTeamMembers returns a command that changes the members of a team.
func newTeamMembers(name, short string, change func(members, given []string) []string) *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:   name + " NAME MEMBER...",
		Short: short,
		Long:  short + ". A MEMBER is user:NAME or token:NAME.",
		Args:  arguments(2, conf.MaxChanges, "a NAME and MEMBERs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkMembers(args[1:]); err != nil {
				return err
			}
			return update(cmd, &s, name, &govern.Team{Name: args[0]}, func(t *govern.Team, exists bool) error {
				if err := mustBe(true, exists, t); err != nil {
					return err
				}
				if t.Retired {
					return errRetired(t)
				}
				t.Members = change(t.Members, args[1:])
				return nil
			})
		},
	}
	s.flags(cmd)
	return cmd
}

// checkMembers refuses what cannot be a member of a team.
func checkMembers(members []string) error {
	for _, m := range members {
		s, err := govern.ParseSubject(m)
		if err == nil && s.Kind != govern.SubjectUser && s.Kind != govern.SubjectToken {
			err = conf.Invalidf("member: %s is neither user:NAME nor token:NAME", conf.Clip(m))
		}
		if err != nil {
			return usageError{err}
		}
	}
	return nil
}

func newRole() *cobra.Command {
	return group("role", "Manage roles, which are sets of verbs with a name",
		newRoleWrite("create", "Create a role", false), newRoleWrite("set", "Replace the verbs of a role", true), newRoleRm(),
		newKindShow(govern.KindRole),
		newKindLs(govern.KindRole, "NAME VERBS DESCRIPTION", func(doc govern.Document) []string {
			r := doc.(*govern.Role)
			return []string{r.Name, dash(strings.Join(r.Verbs, ",")), dash(r.Description)}
		}))
}

// newRoleWrite returns the command that creates a role or changes one that is there.
func newRoleWrite(name, short string, there bool) *cobra.Command {
	var s steward
	var a about
	least := 2
	if there {
		least = 1 // a description alone can be changed
	}
	cmd := &cobra.Command{
		Use:   name + " NAME VERB...",
		Short: short,
		Long:  short + ". The verbs are " + strings.Join(govern.Verbs(), ", ") + ".",
		Args:  arguments(least, 1+len(govern.Verbs()), "a NAME and VERBs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, v := range args[1:] {
				if _, err := govern.ParseVerb(v); err != nil {
					return usageError{err}
				}
			}
			return update(cmd, &s, name, &govern.Role{Name: args[0]}, func(r *govern.Role, exists bool) error {
				if len(args) > 1 {
					r.Verbs = args[1:]
				}
				a.apply(cmd, nil, &r.Description)
				return mustBe(there, exists, r)
			})
		},
	}
	s.flags(cmd)
	a.describe(cmd)
	return cmd
}

func newRoleRm() *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a role that no grant names",
		Args:  arguments(1, 1, "a NAME"),
		RunE:  func(cmd *cobra.Command, args []string) error { return s.remove(cmd, &govern.Role{Name: args[0]}) },
	}
	s.flags(cmd)
	return cmd
}
