package govern

import (
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// canDocument decides whether a principal may read or write the document of a canonical key
// in the system namespace. fresh is what it wants to write, or nil for a deletion or a read.
// The decision depends on the rights alone, and not on whether the document exists where the
// principal has none. Whether a permitted write is valid, checkDocuments decides.
func (p *policy) canDocument(principal string, write bool, key conf.Key, fresh Document) decision {
	name := key.DataID
	switch key.Group {
	case KindCentre:
		switch {
		case name == "secret":
			return decision{}
		case name == "marker" && !write:
			return p.known(principal)
		}
	case KindTenant:
		return p.canTenant(principal, write, name, fresh)
	case KindNamespace:
		return p.canNamespace(principal, write, name, fresh)
	case KindRole:
		if !write && p.rights(principal).anywhere(VerbAdminister) {
			return p.known(principal)
		}
	case KindUser, KindToken:
		if !write && principal == key.Group+":"+name {
			return p.known(principal)
		}
		if key.Group == KindToken && TenantOf(name) != "" {
			return p.administer(principal, TenantScope(TenantOf(name)))
		}
	case KindTeam:
		if TenantOf(name) != "" {
			return p.administer(principal, TenantScope(TenantOf(name)))
		}
	case KindGrants:
		if scope, err := ParseScope(name); err == nil {
			return p.administer(principal, scope)
		}
	}
	return p.administer(principal, AllScope())
}

// known allows what every principal may that has rights or could have them.
func (p *policy) known(principal string) decision {
	if p.rights(principal) == nil {
		return decision{}
	}
	return decision{allowed: true}
}

// administer decides about the verb administer on a whole scope.
func (p *policy) administer(principal string, scope Scope) decision {
	return p.on(principal, VerbAdminister, scope, "")
}

func (p *policy) canTenant(principal string, write bool, name string, fresh Document) decision {
	if !write {
		if d := p.administer(principal, TenantScope(name)); d.allowed {
			return d
		}
		r := p.rights(principal)
		if r == nil || p.tenant(name) == nil {
			return decision{}
		}
		for scope := range r.scopes {
			if scope.Tenant == name {
				return decision{allowed: true}
			}
		}
		for _, id := range p.namespaces.get(name) {
			if r.any(id) {
				return decision{allowed: true}
			}
		}
		return decision{}
	}
	old := p.tenant(name)
	if t, ok := fresh.(*Tenant); ok && !t.Deleted && old != nil && t.Quota.same(&old.Quota) {
		return p.administer(principal, TenantScope(name))
	}
	return p.administer(principal, AllScope())
}

func (p *policy) canNamespace(principal string, write bool, id string, fresh Document) decision {
	old := document[*Namespace](p.get(KindNamespace, id))
	if !write {
		if p.rights(principal).any(id) {
			return decision{allowed: true}
		}
		return p.administer(principal, NamespaceScope(id))
	}
	n, _ := fresh.(*Namespace)
	if old != nil && !old.Deleted && n != nil && !n.Deleted && sameQuota(old.Quota, n.Quota) {
		return p.administer(principal, NamespaceScope(id))
	}
	// Creating, deleting and the quota are the tenant's. Its administrators create only ids
	// that begin with its name, since creating another one would tell them whether it exists.
	tenant := ""
	switch {
	case old != nil:
		tenant = old.Tenant
	case n != nil && strings.HasPrefix(id, n.Tenant+"."):
		tenant = n.Tenant
	}
	if tenant == "" {
		return p.administer(principal, AllScope())
	}
	return p.administer(principal, TenantScope(tenant))
}

func sameQuota(a, b Quota) bool {
	return a.Keys == b.Keys && a.Bytes == b.Bytes && a.Content == b.Content
}

// any reports whether r permits anything in a namespace. r may be nil.
func (r *rights) any(id string) bool {
	if r == nil {
		return false
	}
	if s := r.spaces[id]; s != nil {
		return true // a space is only made for a grant
	}
	if r.all == 0 {
		return false
	}
	_, ok := r.directory.has[id]
	return ok
}

// denied returns the error for what is not permitted. It says nothing but what the caller
// named itself.
func denied(verb Verb, key conf.Key) error {
	if key.Namespace == SystemNamespace {
		return conf.Errorf(conf.ErrDenied, "not permitted: %s", conf.Clip(key.Group+"/"+key.DataID))
	}
	return deniedIn(verb, key.Namespace)
}

// deniedIn is denied for a whole namespace.
func deniedIn(verb Verb, namespace string) error {
	return conf.Errorf(conf.ErrDenied, "not permitted: %s on namespace %s", verb, namespace)
}
