package govern

import (
	"errors"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// checkDocuments checks the documents that a canonical set writes, as it is about to be
// committed: that they are valid, that what never changes does not, and that what they name
// exists. It returns what must be committed with the set. Rights are those of
// canDocument, which the caller has asked for each document before; only a forced
// deletion of a namespace is decided here. Errors wrap [conf.ErrInvalid], [conf.ErrDenied]
// for what force would pass, or [conf.ErrUnavailable] over a document of a later format.
//
// A deleted namespace that has keys keeps them: nobody reaches them until it is created
// again, in the same tenant and environment.
func (p *policy) checkDocuments(principal string, set *conf.ChangeSet, force bool, used usage, now time.Time) (*conditions, error) {
	c := &checker{policy: p, principal: principal, set: set, force: force, used: used, now: now}
	var changes []conf.Change
	for i := range set.Drafts {
		if d := &set.Drafts[i]; d.Key.Namespace == SystemNamespace {
			if _, err := ParseDocument(d.Key, d.Content); err != nil {
				return nil, err
			}
			changes = append(changes, conf.Change{Key: d.Key, Op: conf.OpPublish, Content: d.Content})
		}
	}
	for i := range set.Deletes {
		if key := set.Deletes[i].Key; key.Namespace == SystemNamespace {
			changes = append(changes, conf.Change{Key: key, Op: conf.OpDelete})
		}
	}
	c.next, _ = p.apply(false, changes, p.at)
	for i := range changes {
		if err := c.one(changes[i].Key); err != nil {
			return nil, err
		}
	}
	if err := c.administrators(changes); err != nil {
		return nil, err
	}
	return &c.out, c.quotas(changes)
}

// quotas checks that no tenant gets more documents than its quota has.
func (c *checker) quotas(changes []conf.Change) error {
	seen := make(set)
	for i := range changes {
		tenant := c.next.ownerOf(changes[i].Key)
		if _, checked := seen[tenant]; tenant == "" || checked {
			continue
		}
		seen.add(tenant)
		if err := c.next.refuseDocuments(tenant, c.owned.get(tenant)); err != nil {
			return err
		}
	}
	return nil
}

// one checks the document of a key.
func (c *checker) one(key conf.Key) error {
	old, revision := c.document(key)
	c.out.rest(conf.Check{Key: key, Revision: revision})
	if e := c.get(key.Group, key.DataID); e != nil && errors.As(e.err, new(*LaterFormat)) {
		return e.err // writing it would take away what is not known
	}
	fresh, _ := c.next.document(key)
	if fresh == nil {
		return c.removed(key)
	}
	switch d := fresh.(type) {
	case *Tenant:
		return c.tenantFits(d)
	case *Namespace:
		return c.namespaceFits(as[*Namespace](old), d)
	case *Role:
		return c.roleFits(revision > 0, d)
	case *Grants:
		return c.grantsFit(d)
	case *Token:
		before := as[*Token](old)
		if err := c.tokenFits(d); err != nil {
			return err
		}
		return c.named(key, before != nil, before != nil && before.Retired, d.Retired, d.Generation)
	case *User:
		before := as[*User](old)
		return c.named(key, before != nil, before != nil && before.Retired, d.Retired, d.Generation)
	case *Team:
		before := as[*Team](old)
		return c.named(key, before != nil, before != nil && before.Retired, d.Retired, d.Generation)
	case *Marker:
		if before := as[*Marker](old); before != nil && (!before.Created.Equal(d.Created) || before.By != d.By) {
			return conf.Invalidf("%s: created and by: never change", nameOf(key))
		}
	case *Credentials:
		if d.Generation > c.generation() {
			return conf.Invalidf("%s: generation: %d, more than that of the present epoch, %d", nameOf(key), d.Generation, c.generation())
		}
	case *StoreSecret:
		return conf.Errorf(conf.ErrDenied, "not permitted: %s", nameOf(key))
	}
	return nil
}

// removed checks a deletion.
func (c *checker) removed(key conf.Key) error {
	switch key.Group {
	case KindGrants:
		return nil
	case KindRole:
		if key.DataID == RoleAdministrator {
			return conf.Invalidf("%s: is needed and cannot be deleted", nameOf(key))
		}
		if on := c.next.uses.get(key.DataID); len(on) > 0 {
			return conf.Invalidf("%s: is granted on %s; revoke these grants first", nameOf(key), some(on))
		}
		return nil
	case KindTenant, KindNamespace:
		return conf.Invalidf("%s: its document is never deleted; set deleted", nameOf(key))
	case KindUser, KindToken, KindTeam:
		return conf.Invalidf("%s: its document is never deleted, so that the name is not used again; set retired", nameOf(key))
	}
	return conf.Invalidf("%s: its document is never deleted", nameOf(key))
}

// named checks what users, tokens and teams have in common.
func (c *checker) named(key conf.Key, existed, wasRetired, retired bool, generation int64) error {
	if wasRetired && !retired {
		return conf.Invalidf("%s: retired: stays true; names are never used again, so take another one", nameOf(key))
	}
	if generation > c.generation() {
		return conf.Invalidf("%s: generation: %d, more than that of the present epoch, %d", nameOf(key), generation, c.generation())
	}
	if tenant := TenantOf(key.DataID); tenant != "" && !existed {
		if c.next.tenant(tenant) == nil {
			return conf.Invalidf("%s: name: belongs to tenant %s, which does not exist", nameOf(key), tenant)
		}
		c.restOn(KeyOf(KindTenant, tenant))
	}
	return nil
}

// administrators checks that somebody is left who has administer on everything. It rests
// the set on the documents of one such user or token.
func (c *checker) administrators(changes []conf.Change) error {
	concerned := slices.ContainsFunc(changes, func(change conf.Change) bool {
		switch change.Key.Group {
		case KindRole, KindUser, KindToken, KindTeam, KindCentre:
			return true
		}
		return change.Key == KeyOf(KindGrants, AllScope().String())
	})
	if !concerned {
		return nil
	}
	if err := c.escalation(changes); err != nil {
		return err
	}
	if _, ok := c.policy.administrator(c.now); !ok {
		return nil // before the first one
	}
	left, ok := c.next.administrator(c.now)
	if !ok {
		return conf.Invalidf("grants all: a user or token that is not retired, suspended or expired must keep administer on everything; this would take it from the last one")
	}
	for _, check := range left {
		c.restOn(check.Key)
	}
	return nil
}

// administrator returns the documents that give administer on everything to a user or token
// that can use it at now, and whether there are any.
func (p *policy) administrator(now time.Time) ([]conf.Check, bool) {
	e := p.get(KindGrants, AllScope().String())
	if e == nil {
		return nil, false
	}
	candidates := make(set)
	for subject, grants := range e.grants {
		if slices.ContainsFunc(grants, func(g Grant) bool { return p.verbs(g.Role).has(VerbAdminister) }) {
			p.holders(subject, candidates)
		}
	}
	for _, name := range candidates.sorted() {
		s, err := ParseSubject(name)
		if err != nil || s.Kind != SubjectUser && s.Kind != SubjectToken || !p.usable(s, now) {
			continue
		}
		if d := p.administer(name, AllScope()); d.allowed {
			return d.checks, true
		}
	}
	return nil, false
}

// usable reports whether a token has a secret that is valid at now. A user needs none.
func (p *policy) usable(s Subject, now time.Time) bool {
	if s.Kind == SubjectUser {
		return true
	}
	t := document[*Token](p.get(KindToken, s.Name))
	return t != nil && slices.ContainsFunc(t.Secrets, func(secret Secret) bool { return !secret.Expired(now) })
}
