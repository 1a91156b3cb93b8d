package govern

import (
	"cmp"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// policy is all documents of one position, and what they permit. It does not change: apply
// returns another one. It is safe for concurrent use.
type policy struct {
	at        conf.Position
	documents map[string]*table[*entry] // by kind, then by name
	unread    []conf.Key                // documents that cannot be read, sorted

	// What is looked up in the other direction. All lists are sorted.
	scopes     *table[[]string] // of the scopes on which a subject has grants
	teams      *table[[]string] // of the teams that a principal is in, retired ones too
	uses       *table[[]string] // of the scopes on which a role is granted
	namespaces *table[[]string] // of the live namespaces of a tenant
	secrets    *table[[]string] // of the tokens that have the hash of a secret
	directory  *directory       // of the live namespaces

	compiled *table[*rights]       // by principal
	owned    *table[documentCount] // by tenant
}

// documentCount is how many documents a tenant has, and of how many bytes.
type documentCount struct{ count, bytes int64 }

// newPolicy returns the policy of no documents, which permits nothing.
func newPolicy() *policy {
	p := &policy{
		documents:  make(map[string]*table[*entry]),
		scopes:     newTable[[]string](),
		teams:      newTable[[]string](),
		uses:       newTable[[]string](),
		namespaces: newTable[[]string](),
		secrets:    newTable[[]string](),
		compiled:   newTable[*rights](),
		owned:      newTable[documentCount](),
		directory:  &directory{has: map[string]struct{}{}},
	}
	for _, kind := range []string{KindCentre, KindTenant, KindNamespace, KindRole, KindUser, KindToken, KindTeam, KindGrants} {
		p.documents[kind] = newTable[*entry]()
	}
	return p
}

// get returns the entry of a document, or nil if there is none.
func (p *policy) get(kind, name string) *entry {
	if t := p.documents[kind]; t != nil {
		return t.get(name)
	}
	return nil
}

// document returns the document of key with the revision of its entry, or nil and 0 if
// there is none. A document that cannot be read has a revision too.
func (p *policy) document(key conf.Key) (doc Document, revision int64) {
	if e := p.get(key.Group, key.DataID); e != nil {
		return e.doc, e.revision
	}
	return nil, 0
}

// ownerOf returns the tenant that the document of a key belongs to, or "".
func (p *policy) ownerOf(key conf.Key) string {
	switch key.Group {
	case KindTenant:
		return key.DataID
	case KindUser, KindToken, KindTeam:
		return TenantOf(key.DataID)
	case KindNamespace:
		if n := document[*Namespace](p.get(KindNamespace, key.DataID)); n != nil {
			return n.Tenant
		}
	case KindGrants:
		switch scope, err := ParseScope(key.DataID); {
		case err != nil:
		case scope.Level == LevelNamespace:
			return p.ownerOf(KeyOf(KindNamespace, scope.Namespace))
		default:
			return scope.Tenant
		}
	}
	return ""
}

// documentQuota returns the limits of the documents of a tenant.
func (p *policy) documentQuota(tenant string) DocumentQuota {
	q := DocumentQuota{Documents: DefaultTenantDocuments, Bytes: DefaultTenantDocumentBytes}
	if t := document[*Tenant](p.get(KindTenant, tenant)); t != nil { // a deleted one has its documents still
		q.Documents, q.Bytes = cmp.Or(t.Quota.Documents, q.Documents), cmp.Or(t.Quota.Bytes, q.Bytes)
	}
	return q
}

// generation returns the generation of the present epoch.
func (p *policy) generation() int64 { return p.at.Epoch.Generation }

// tenant returns a live tenant, or nil.
func (p *policy) tenant(name string) *Tenant {
	if t := document[*Tenant](p.get(KindTenant, name)); t != nil && !t.Deleted {
		return t
	}
	return nil
}

// namespace returns a live namespace, or nil.
func (p *policy) namespace(id string) *Namespace {
	if n := document[*Namespace](p.get(KindNamespace, id)); n != nil && !n.Deleted {
		return n
	}
	return nil
}

// marker returns the marker, or nil if the store is not governed.
func (p *policy) marker() *Marker { return document[*Marker](p.get(KindCentre, "marker")) }

// storeSecret returns the secret of the store, or nil.
func (p *policy) storeSecret() *StoreSecret {
	return document[*StoreSecret](p.get(KindCentre, "secret"))
}

// token returns the token that has the hash of a secret, and the secret. It returns nil if
// there is none, or if it is retired. If several have it, which checkDocuments lets
// only servers do that do not know of each other, the first by name counts.
func (p *policy) token(hash [32]byte) (*Token, *Secret) {
	for _, name := range p.secrets.get(string(hash[:])) {
		t := document[*Token](p.get(KindToken, name))
		if t == nil || t.Retired {
			continue
		}
		for i := range t.Secrets {
			if sum, ok := t.Secrets[i].Hash(); ok && sameHash(sum, hash) {
				return t, &t.Secrets[i]
			}
		}
	}
	return nil, nil
}

// tokenOf returns the token that a principal is, or nil if it is another kind of principal or
// there is no such token.
func (p *policy) tokenOf(principal string) *Token {
	name, ok := strings.CutPrefix(principal, string(SubjectToken)+":")
	if !ok {
		return nil
	}
	return document[*Token](p.get(KindToken, name))
}

// suspended reports whether t is of before the present epoch and not confirmed since. A
// restore may have brought a revoked token back.
func (p *policy) suspended(t *Token) bool {
	if t.Generation >= p.generation() {
		return false
	}
	c := document[*Credentials](p.get(KindCentre, "credentials"))
	return c == nil || c.Generation < p.generation()
}

// live reports whether a principal can have rights: a user or token that exists, is not
// retired and not suspended, or a certificate or the anonymous, who need no document. kind
// and name are the document's, or "".
func (p *policy) live(principal string) (kind, name string, ok bool) {
	s, err := ParseSubject(principal)
	if err != nil {
		return "", "", false
	}
	switch s.Kind {
	case SubjectUser:
		u := document[*User](p.get(KindUser, s.Name))
		return KindUser, s.Name, u != nil && !u.Retired
	case SubjectToken:
		t := document[*Token](p.get(KindToken, s.Name))
		return KindToken, s.Name, t != nil && !t.Retired && !p.suspended(t)
	case SubjectTeam:
		return "", "", false
	}
	return "", "", true
}

// rights returns what a principal may do with values, or nil if it is unknown, retired or
// suspended, or is a certificate or the anonymous without grants.
func (p *policy) rights(principal string) *rights { return p.compiled.get(principalName(principal)) }

// compile returns the rights of a principal from its grants and those of its teams.
func (p *policy) compile(principal string) *rights {
	kind, _, ok := p.live(principal)
	if !ok || kind == "" && len(p.scopes.get(principal)) == 0 {
		return nil
	}
	r := &rights{scopes: make(map[Scope]verbSet), spaces: make(map[string]*space)}
	p.grantTo(r, principal)
	for _, team := range p.teams.get(principal) {
		if t := document[*Team](p.get(KindTeam, team)); t != nil && !t.Retired {
			p.grantTo(r, t.Subject())
		}
	}
	if r.all != 0 {
		r.directory = p.directory
	}
	r.ids = make([]string, 0, len(r.spaces))
	for id := range r.spaces {
		r.ids = append(r.ids, id)
	}
	slices.Sort(r.ids)
	return r
}

// grantTo adds to r what is granted to a subject.
func (p *policy) grantTo(r *rights, subject string) {
	for _, name := range p.scopes.get(subject) {
		e := p.get(KindGrants, name)
		scope := document[*Grants](e).Scope
		for _, g := range e.grants[subject] {
			verbs := p.verbs(g.Role)
			if verbs == 0 || !p.exists(scope) {
				continue
			}
			switch scope.Level {
			case LevelAll:
				r.all |= verbs
				continue
			case LevelNamespace:
				r.grant(scope.Namespace, g.GroupPrefix, verbs)
				continue
			}
			r.scopes[scope] |= verbs
			for _, id := range p.namespaces.get(scope.Tenant) {
				if scope.Level == LevelTenant || p.namespace(id).Environment == scope.Environment {
					r.grant(id, "", verbs)
				}
			}
		}
	}
}

// verbs returns the verbs of a role, none if there is no such role.
func (p *policy) verbs(role string) verbSet {
	if e := p.get(KindRole, role); e != nil {
		return e.verbs
	}
	return 0
}

// exists reports whether there is what a scope is about. Grants on what does not exist give
// nothing.
func (p *policy) exists(s Scope) bool {
	switch s.Level {
	case LevelAll:
		return true
	case LevelTenant:
		return p.tenant(s.Tenant) != nil
	case LevelEnvironment:
		t := p.tenant(s.Tenant)
		return t != nil && slices.Contains(t.Environments, s.Environment)
	case LevelNamespace:
		return p.namespace(s.Namespace) != nil
	}
	return false
}
