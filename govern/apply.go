package govern

import (
	"maps"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// apply returns the policy after changes, which are those of the system namespace up to the
// position at, in their order. With reset they are all present entries, and what p had
// counts no more. changed names the principals whose rights are others now, or of whom a
// proof is not valid any more, sorted, and no other ones. Entries of other namespaces are
// ignored.
func (p *policy) apply(reset bool, changes []conf.Change, at conf.Position) (next *policy, changed []string) {
	next = p.open(reset, at)
	affected := make(set)
	if at.Epoch.Generation != p.generation() {
		for name := range p.documents[KindToken].all() { // which may be suspended now
			affected.add(string(SubjectToken) + ":" + name)
		}
	}
	for i := range changes {
		c := &changes[i]
		if c.Key.Namespace != SystemNamespace || next.documents[c.Key.Group] == nil {
			continue
		}
		var e *entry
		if c.Op == conf.OpPublish {
			e = readEntry(c)
		}
		next.replace(c.Key, e, affected)
	}
	if reset {
		for name := range p.compiled.all() {
			affected.add(name)
		}
	}
	for name := range affected {
		r := next.compile(name)
		if r.equal(p.compiled.get(name)) {
			if reset && r != nil {
				next.compiled.set(name, r)
			}
			if narrowed(p, next, name) {
				changed = append(changed, name)
			}
			continue
		}
		changed = append(changed, name)
		if r == nil {
			next.compiled.delete(name)
		} else {
			next.compiled.set(name, r)
		}
	}
	next.seal()
	slices.Sort(changed)
	return next, changed
}

// narrowed reports whether a principal is a token that lost a secret, or of which one
// expires at another time, or that was given other addresses. Who waits may have proven
// itself by what is not valid any more.
func narrowed(before, after *policy, principal string) bool {
	old, fresh := before.tokenOf(principal), after.tokenOf(principal)
	if old == nil || fresh == nil || old == fresh {
		return false
	}
	lost := func(s Secret) bool {
		return !slices.ContainsFunc(fresh.Secrets, func(o Secret) bool { return o.SHA256 == s.SHA256 && o.Expires.Equal(s.Expires) })
	}
	return !slices.Equal(old.Addresses, fresh.Addresses) || slices.ContainsFunc(old.Secrets, lost)
}

// open returns a copy of p that may be written until it is sealed; with reset it is empty.
func (p *policy) open(reset bool, at conf.Position) *policy {
	if reset {
		p = newPolicy()
	}
	next := *p
	next.at = at
	next.documents = maps.Clone(p.documents)
	for kind, t := range p.documents {
		next.documents[kind] = t.copy()
	}
	for _, t := range next.lists() {
		*t = (*t).copy()
	}
	next.compiled, next.owned = p.compiled.copy(), p.owned.copy()
	return &next
}

func (p *policy) lists() []**table[[]string] {
	return []**table[[]string]{&p.scopes, &p.teams, &p.uses, &p.namespaces, &p.secrets}
}

func (p *policy) seal() {
	for _, t := range p.documents {
		t.seal()
	}
	for _, t := range p.lists() {
		(*t).seal()
	}
	p.compiled.seal()
	p.owned.seal()
}

// replace puts the document of key, or removes it if fresh is nil. It adds to affected all
// whose rights may be others then: those that depend on what was there, and those that
// depend on what is there now.
func (p *policy) replace(key conf.Key, fresh *entry, affected set) {
	name := key.DataID
	old := p.get(key.Group, name)
	i, found := slices.BinarySearchFunc(p.unread, key, conf.Key.Compare)
	switch unread := fresh != nil && fresh.err != nil; {
	case unread && !found:
		p.unread = slices.Insert(slices.Clip(p.unread), i, key)
	case !unread && found:
		p.unread = slices.Concat(p.unread[:i], p.unread[i+1:])
	}
	counted := []conf.Key{key}
	if key.Group == KindNamespace { // whose grants are its tenant's
		counted = append(counted, KeyOf(KindGrants, NamespaceScope(name).String()))
	}
	p.count(counted, -1)
	if fresh == nil {
		p.documents[key.Group].delete(name)
	} else {
		p.documents[key.Group].set(name, fresh)
	}
	p.count(counted, 1)
	switch key.Group {
	case KindCentre:
		for token := range p.documents[KindToken].all() {
			if name == "credentials" {
				affected.add(string(SubjectToken) + ":" + token)
			}
		}
	case KindTenant:
		p.replaceTenant(document[*Tenant](old), document[*Tenant](fresh), affected)
	case KindNamespace:
		p.replaceNamespace(document[*Namespace](old), document[*Namespace](fresh), affected)
	case KindRole:
		p.replaceRole(name, old, fresh, affected)
	case KindUser, KindToken:
		affected.add(key.Group + ":" + name)
		p.replaceSecrets(document[*Token](old), document[*Token](fresh))
	case KindTeam:
		p.replaceTeam(document[*Team](old), document[*Team](fresh), affected)
	case KindGrants:
		p.replaceGrants(name, old, fresh, affected)
	}
}

// count adds the documents of keys to those that their tenants have, or with -1 takes them
// away.
func (p *policy) count(keys []conf.Key, sign int64) {
	for _, key := range keys {
		e, tenant := p.get(key.Group, key.DataID), p.ownerOf(key)
		if e == nil || tenant == "" {
			continue
		}
		has := p.owned.get(tenant)
		if has.count, has.bytes = has.count+sign, has.bytes+sign*e.size; has.count == 0 {
			p.owned.delete(tenant)
		} else {
			p.owned.set(tenant, has)
		}
	}
}

func (p *policy) replaceTenant(old, fresh *Tenant, affected set) {
	for _, t := range []*Tenant{old, fresh} {
		if t == nil {
			continue
		}
		p.dependents(TenantScope(t.Name), affected)
		for _, e := range t.Environments {
			p.dependents(EnvironmentScope(t.Name, e), affected)
		}
	}
}

func (p *policy) replaceNamespace(old, fresh *Namespace, affected set) {
	was, is := old != nil && !old.Deleted, fresh != nil && !fresh.Deleted
	if was && is && old.Tenant == fresh.Tenant && old.Environment == fresh.Environment {
		return // rights do not depend on the rest
	}
	for _, n := range []*Namespace{old, fresh} {
		if n == nil || n.Deleted {
			continue
		}
		put(p.namespaces, n.Tenant, n.ID, n == fresh)
		for _, scope := range []Scope{n.Scope(), EnvironmentScope(n.Tenant, n.Environment), TenantScope(n.Tenant), AllScope()} {
			p.dependents(scope, affected)
		}
		if was == is {
			continue
		}
		d := &directory{has: maps.Clone(p.directory.has)}
		if is {
			d.ids = include(p.directory.ids, n.ID)
			d.has[n.ID] = struct{}{}
		} else {
			d.ids = exclude(p.directory.ids, n.ID)
			delete(d.has, n.ID)
		}
		p.directory = d
	}
}

func (p *policy) replaceRole(role string, old, fresh *entry, affected set) {
	if old != nil && fresh != nil && old.verbs == fresh.verbs {
		return
	}
	for _, name := range p.uses.get(role) {
		if g := document[*Grants](p.get(KindGrants, name)); g != nil {
			for i := range g.Grants {
				if g.Grants[i].Role == role {
					p.holders(g.Grants[i].Subject, affected)
				}
			}
		}
	}
}

func (p *policy) replaceSecrets(old, fresh *Token) {
	for _, t := range []*Token{old, fresh} {
		if t == nil {
			continue
		}
		for i := range t.Secrets {
			if sum, ok := t.Secrets[i].Hash(); ok {
				put(p.secrets, string(sum[:]), t.Name, t == fresh)
			}
		}
	}
}

func (p *policy) replaceTeam(old, fresh *Team, affected set) {
	for _, t := range []*Team{old, fresh} {
		if t == nil {
			continue
		}
		for _, m := range t.Members {
			put(p.teams, m, t.Name, t == fresh)
			affected.add(m)
		}
	}
}

func (p *policy) replaceGrants(name string, old, fresh *entry, affected set) {
	if old == nil {
		old = &entry{}
	}
	if fresh == nil {
		fresh = &entry{}
	}
	for subject, had := range old.grants {
		has, still := fresh.grants[subject]
		if !still {
			put(p.scopes, subject, name, false)
		}
		if !slices.EqualFunc(had, has, sameGrant) {
			p.holders(subject, affected)
		}
	}
	for subject := range fresh.grants {
		if _, before := old.grants[subject]; !before {
			put(p.scopes, subject, name, true)
			p.holders(subject, affected)
		}
	}
	had, has := old.roles(), fresh.roles()
	for role := range had {
		if _, still := has[role]; !still {
			put(p.uses, role, name, false)
		}
	}
	for role := range has {
		if _, before := had[role]; !before {
			put(p.uses, role, name, true)
		}
	}
}

func sameGrant(a, b Grant) bool { return a.Role == b.Role && a.GroupPrefix == b.GroupPrefix }

// dependents adds all principals that have grants on a scope.
func (p *policy) dependents(scope Scope, affected set) {
	if e := p.get(KindGrants, scope.String()); e != nil {
		for subject := range e.grants {
			p.holders(subject, affected)
		}
	}
}

// holders adds the principals that a subject stands for: the members of a team, or itself.
func (p *policy) holders(subject string, affected set) {
	s, err := ParseSubject(subject)
	if err != nil || s.Kind != SubjectTeam {
		affected.add(subject)
		return
	}
	if t := document[*Team](p.get(KindTeam, s.Name)); t != nil {
		affected.add(t.Members...)
	}
}
