package govern

import "github.com/linnaname/gdiamond/conf"

// Namespace registers a namespace. What is not registered is denied to all.
type Namespace struct {
	ID string `json:"-"` // at most 100 bytes for a new one; the grammar is that of keys

	Format      int64   `json:"format"`
	Tenant      string  `json:"tenant,omitempty"`      // never changes; "" only for the namespace "public" and those of before
	Environment string  `json:"environment,omitempty"` // of the tenant; never changes; "" if the tenant is
	Description string  `json:"description,omitempty"`
	Owner       string  `json:"owner,omitempty"` // whom to ask
	Quota       Quota   `json:"quota,omitempty"`
	Frozen      *Freeze `json:"frozen,omitempty"` // nil if changes are let through
	// Deleted says that the namespace is no more. Its keys, if it has some, cannot be reached
	// until it is created again, in the same tenant and environment.
	Deleted bool    `json:"deleted,omitempty"`
	Unknown Unknown `json:"-"`
}

// Quota limits a namespace. A limit of 0 is none. Servers count for themselves, so a
// namespace may be over by what was in flight at others.
type Quota struct {
	Keys    int64   `json:"keys,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`   // of all contents together
	Content int64   `json:"content,omitempty"` // bytes of one content
	Unknown Unknown `json:"-"`
}

// Freeze says why a namespace lets no change through.
type Freeze struct {
	// By is the name of the principal that froze the namespace, or changed the reason last.
	// The centre sets it.
	By      string  `json:"by"`
	Reason  string  `json:"reason"`
	Unknown Unknown `json:"-"`
}

// Key implements [Document].
func (n *Namespace) Key() conf.Key { return KeyOf(KindNamespace, n.ID) }

// Scope returns the scope of the namespace.
func (n *Namespace) Scope() Scope { return NamespaceScope(n.ID) }

func (n *Namespace) format() *int64 { return &n.Format }

func (n *Namespace) validate(p *problems) {
	if n.Tenant != "" {
		p.text("tenant", tenantProblem(n.Tenant))
		p.text("environment", tenantProblem(n.Environment))
	} else if n.Environment != "" {
		p.add("environment: is one of a tenant, and there is no tenant")
	}
	p.text("description", plainProblem(n.Description, maxDescription))
	p.text("owner", plainProblem(n.Owner, maxOwner))
	for _, q := range []struct {
		name  string
		limit int64
	}{{"keys", n.Quota.Keys}, {"bytes", n.Quota.Bytes}, {"content", n.Quota.Content}} {
		if q.limit < 0 {
			p.add("quota.%s: is negative", q.name)
		}
	}
	if n.Frozen != nil {
		if n.Frozen.Reason == "" {
			p.add("frozen.reason: is empty")
		}
		p.text("frozen.by", plainProblem(n.Frozen.By, maxDescription))
		p.text("frozen.reason", plainProblem(n.Frozen.Reason, maxDescription))
	}
}
