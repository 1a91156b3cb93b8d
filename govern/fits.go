package govern

import (
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

func (c *checker) tenantFits(fresh *Tenant) error {
	for _, id := range c.next.namespaces.get(fresh.Name) {
		if fresh.Deleted {
			return conf.Invalidf("%s: deleted: it has namespaces: %s; delete them first", nameOf(fresh.Key()), some(c.next.namespaces.get(fresh.Name)))
		}
		if e := c.next.namespace(id).Environment; !slices.Contains(fresh.Environments, e) {
			return conf.Invalidf("%s: environments: %s has the namespace %s and cannot be left out", nameOf(fresh.Key()), e, id)
		}
	}
	return nil
}

func (c *checker) namespaceFits(old, fresh *Namespace) error {
	what := nameOf(fresh.Key())
	if old != nil && (old.Tenant != fresh.Tenant || old.Environment != fresh.Environment) {
		field := "environment"
		if old.Tenant != fresh.Tenant {
			field = "tenant"
		}
		return conf.Invalidf("%s: %s: never changes, not even for one that was deleted", what, field)
	}
	if fresh.Deleted {
		return c.namespaceDeleted(old, fresh)
	}
	if old != nil && !old.Deleted {
		return nil
	}
	switch {
	case old == nil && len(fresh.ID) > MaxNewNamespace:
		return conf.Invalidf("%s: id: %d bytes, more than %d", what, len(fresh.ID), MaxNewNamespace)
	case old == nil && fresh.Tenant == "" && fresh.ID != conf.DefaultNamespace:
		return conf.Invalidf("%s: tenant: is empty", what)
	case fresh.Tenant == "":
		return nil
	}
	tenant := c.next.tenant(fresh.Tenant)
	if tenant == nil {
		return conf.Invalidf("%s: tenant: %s does not exist", what, fresh.Tenant)
	}
	if !slices.Contains(tenant.Environments, fresh.Environment) {
		return conf.Invalidf("%s: environment: %s is none of tenant %s, which has %s", what, fresh.Environment, fresh.Tenant, strings.Join(tenant.Environments, ", "))
	}
	for _, id := range c.next.namespaces.get(fresh.Tenant) {
		if id != fresh.ID && c.next.namespace(id).Environment == fresh.Environment {
			return conf.Invalidf("%s: environment: %s of tenant %s has the namespace %s already", what, fresh.Environment, fresh.Tenant, id)
		}
	}
	return c.touch(tenant)
}

func (c *checker) namespaceDeleted(old, fresh *Namespace) error {
	what := nameOf(fresh.Key())
	switch {
	case old == nil:
		return conf.Invalidf("%s: deleted: it does not exist", what)
	case old.Deleted:
		return nil
	case fresh.ID == conf.DefaultNamespace:
		return conf.Invalidf("%s: deleted: it always exists", what)
	}
	keys, _ := c.used(fresh.ID)
	if keys == 0 {
		return nil
	}
	if !c.force {
		return conf.Errorf(conf.ErrDenied, "%s: deleted: it has %d keys; delete them first, or give force and a reason, and nobody reaches them any more", what, keys)
	}
	if strings.TrimSpace(c.set.Comment) == "" {
		return conf.Invalidf("comment: is empty; force needs a reason")
	}
	d := c.on(c.principal, VerbForce, fresh.Scope(), "")
	if !d.allowed {
		return conf.Errorf(conf.ErrDenied, "%s: deleted: it has %d keys; and not permitted: force on namespace %s", what, keys, fresh.ID)
	}
	c.out.rest(d.checks...)
	return nil
}

// roleFits checks a role, which existed before or not. A server that had not seen the deletion
// of a role may have granted it in the meantime. Whoever creates a role of that name again
// must not bring such grants to life: they were meant to be of another role. The set depends
// on the absence of the role, so it is decided by a policy that has all of these grants.
func (c *checker) roleFits(existed bool, fresh *Role) error {
	if fresh.Name == RoleAdministrator && !fresh.set().has(VerbAdminister) {
		return conf.Invalidf("%s: verbs: must have administer", nameOf(fresh.Key()))
	}
	if existed {
		return nil
	}
	on := slices.DeleteFunc(slices.Clone(c.uses.get(fresh.Name)), func(scope string) bool {
		return draftOf(c.set, KeyOf(KindGrants, scope)) != nil || deleteOf(c.set, KeyOf(KindGrants, scope)) != nil
	})
	if len(on) > 0 {
		return conf.Invalidf("%s: was granted on %s while it was deleted; revoke these grants first, or take another name", nameOf(fresh.Key()), some(on))
	}
	return nil
}

func (c *checker) tokenFits(fresh *Token) error {
	for i := range fresh.Secrets {
		sum, _ := fresh.Secrets[i].Hash()
		if len(c.next.secrets.get(string(sum[:]))) > 1 {
			return conf.Invalidf("%s: secrets[%d].sha256: is that of another token; make a new secret", nameOf(fresh.Key()), i)
		}
	}
	return nil
}

func (c *checker) grantsFit(fresh *Grants) error {
	what := nameOf(fresh.Key())
	if len(fresh.Grants) == 0 {
		return nil
	}
	if !c.next.exists(fresh.Scope) {
		return conf.Invalidf("%s: scope: does not exist", what)
	}
	for _, scope := range c.next.around(fresh.Scope)[:1] {
		switch scope.Level {
		case LevelNamespace:
			c.restOn(KeyOf(KindNamespace, scope.Namespace))
		case LevelTenant, LevelEnvironment:
			c.restOn(KeyOf(KindTenant, scope.Tenant))
		}
	}
	for i := range fresh.Grants {
		if role := fresh.Grants[i].Role; c.next.verbs(role) == 0 {
			return conf.Invalidf("%s: grants[%d].role: %s does not exist", what, i, conf.Clip(role))
		}
	}
	for role := range (&entry{doc: fresh}).roles() {
		c.restOn(KeyOf(KindRole, role))
	}
	return nil
}

// escalation checks that nobody has administer on everything whom the administrators of a
// tenant could become: they may give one of its tokens a new secret, or one of its teams a
// new member.
//
// It rests the set on what may decide about that, if the set writes some of it. Otherwise two
// sets could do together, at two servers, what none of them may do: one gives a team a
// member, the other gives a role of that team another verb.
func (c *checker) escalation(changes []conf.Change) error {
	all := KeyOf(KindGrants, AllScope().String())
	g := document[*Grants](c.next.get(all.Group, all.DataID))
	if g == nil {
		return nil
	}
	if slices.ContainsFunc(changes, func(change conf.Change) bool {
		return change.Key == all || change.Key.Group == KindRole || change.Key.Group == KindTeam
	}) {
		c.restOn(all)
		for i := range g.Grants {
			c.restOn(KeyOf(KindRole, g.Grants[i].Role))
			if s, err := ParseSubject(g.Grants[i].Subject); err == nil && s.Kind == SubjectTeam {
				c.restOn(KeyOf(KindTeam, s.Name))
			}
		}
	}
	for i := range g.Grants {
		if !c.next.verbs(g.Grants[i].Role).has(VerbAdminister) {
			continue
		}
		who := make(set)
		who.add(g.Grants[i].Subject)
		c.next.holders(g.Grants[i].Subject, who)
		for _, name := range who.sorted() {
			s, _ := ParseSubject(name)
			if tenant := TenantOf(s.Name); tenant != "" && (s.Kind == SubjectToken || s.Kind == SubjectTeam) {
				return conf.Invalidf("grants all: %s belongs to tenant %s, whose administrators could use its rights; it cannot have administer on everything", name, tenant)
			}
		}
	}
	return nil
}
