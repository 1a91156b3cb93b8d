package govern

import (
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// decision says whether something is permitted, and by which documents.
type decision struct {
	allowed bool
	// checks are the documents that allowed it, with the revisions of their entries: as few
	// as suffice, sorted by key. As long as they stay, so does the decision. They are empty
	// unless allowed.
	checks []conf.Check
}

// decide decides about a canonical key that is no document. Where it allows, so does
// can.
func (p *policy) decide(principal string, verb Verb, key conf.Key) decision {
	scope := NamespaceScope(key.Namespace)
	if p.namespace(key.Namespace) == nil {
		return decision{} // not registered
	}
	return p.on(principal, verb, scope, key.Group)
}

// may decides about a scope. On a group prefix, what is permitted on a shorter prefix is too.
func (p *policy) may(principal string, verb Verb, scope Scope) decision {
	if !p.exists(NamespaceScope(scope.Namespace)) && scope.Level == LevelNamespace {
		return decision{}
	}
	return p.on(principal, verb, scope, scope.GroupPrefix)
}

// on decides about a scope, and about a group if the scope is a namespace. It looks for the
// grant that depends on the fewest documents; of those, for the one on the narrowest scope,
// whose document changes the least often. A scope that does not exist belongs to those who
// administer what would be around it.
func (p *policy) on(principal string, verb Verb, scope Scope, group string) decision {
	principal = principalName(principal)
	kind, name, ok := p.live(principal)
	if !ok {
		return decision{}
	}
	var own []conf.Key
	if kind != "" {
		own = append(own, KeyOf(kind, name))
	}
	if scope.Level == LevelNamespace && p.get(KindNamespace, scope.Namespace) != nil {
		own = append(own, KeyOf(KindNamespace, scope.Namespace))
	}
	if t := document[*Token](p.get(kind, name)); t != nil && t.Generation < p.generation() {
		own = append(own, KeyOf(KindCentre, "credentials")) // which confirm it
	}
	around := p.around(scope)
	if keys := p.find(principal, verb, around, group); keys != nil {
		return p.granted(append(own, keys...))
	}
	for _, team := range p.teams.get(principal) {
		if t := document[*Team](p.get(KindTeam, team)); t != nil && !t.Retired {
			if keys := p.find(t.Subject(), verb, around, group); keys != nil {
				return p.granted(append(append(own, t.Key()), keys...))
			}
		}
	}
	return decision{}
}

// granted returns a decision that rests on the documents of keys.
func (p *policy) granted(keys []conf.Key) decision {
	slices.SortFunc(keys, conf.Key.Compare)
	d := decision{allowed: true}
	for _, k := range slices.Compact(keys) {
		_, revision := p.document(k)
		d.checks = append(d.checks, conf.Check{Key: k, Revision: revision})
	}
	return d
}

// around returns the scopes that exist and cover s, the narrowest first.
func (p *policy) around(s Scope) (all []Scope) {
	s.GroupPrefix = ""
	if s.Level == LevelNamespace {
		if p.exists(s) {
			all = append(all, s)
		}
		// The namespace may be deleted, and still is its tenant's.
		if n := document[*Namespace](p.get(KindNamespace, s.Namespace)); n != nil && n.Tenant != "" {
			s = EnvironmentScope(n.Tenant, n.Environment)
		}
	}
	if s.Level == LevelEnvironment {
		if p.exists(s) {
			all = append(all, s)
		}
		s = TenantScope(s.Tenant)
	}
	if s.Level == LevelTenant && p.exists(s) {
		all = append(all, s)
	}
	return append(all, AllScope())
}

// find returns the keys of the documents that give a subject verb on one of scopes, or nil:
// the grants, the role, and the tenant if the scope is one of a tenant, which must be there.
func (p *policy) find(subject string, verb Verb, scopes []Scope, group string) []conf.Key {
	names := p.scopes.get(subject)
	for _, s := range scopes {
		name := s.String()
		if _, ok := slices.BinarySearch(names, name); !ok {
			continue
		}
		for _, g := range p.get(KindGrants, name).grants[subject] {
			if !p.verbs(g.Role).has(verb) || !strings.HasPrefix(group, g.GroupPrefix) {
				continue
			}
			keys := []conf.Key{KeyOf(KindGrants, name), KeyOf(KindRole, g.Role)}
			if s.Tenant != "" {
				keys = append(keys, KeyOf(KindTenant, s.Tenant))
			}
			return keys
		}
	}
	return nil
}
