package govern

import (
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// Tenant is a team, a department or a product that shares the centre with others. It has at
// most one [Namespace] in each of its environments.
type Tenant struct {
	Name         string   `json:"-"` // 1 to 32 bytes of a-z 0-9 -
	Format       int64    `json:"format"`
	Environments []string `json:"environments"` // in the order in which changes travel; names are as the tenant's
	Description  string   `json:"description,omitempty"`
	Owner        string   `json:"owner,omitempty"` // whom to ask
	// Quota limits the documents of the tenant. Those who administer everything set it.
	Quota DocumentQuota `json:"quota,omitempty"`
	// Deleted says that the tenant is no more. Nothing is granted by it then. It can be
	// created again, as the same tenant.
	Deleted bool    `json:"deleted,omitempty"`
	Unknown Unknown `json:"-"`
}

// The limits of the documents of a tenant whose [DocumentQuota] has none. All servers hold all
// documents in memory.
const (
	DefaultTenantDocuments     = 20_000
	DefaultTenantDocumentBytes = 32 << 20
)

// DocumentQuota limits the documents of a tenant: its own, those of its namespaces, tokens,
// users and teams, retired ones too, and the grants on what it has. Servers count for
// themselves, so a tenant may be over by what was in flight at others.
type DocumentQuota struct {
	Documents int64   `json:"documents,omitempty"` // 0 stands for [DefaultTenantDocuments]
	Bytes     int64   `json:"bytes,omitempty"`     // of all together; 0 stands for [DefaultTenantDocumentBytes]
	Unknown   Unknown `json:"-"`
}

// same reports whether q and o have the same limits.
func (q *DocumentQuota) same(o *DocumentQuota) bool {
	return q.Documents == o.Documents && q.Bytes == o.Bytes
}

// DefaultEnvironments returns the environments of a tenant for which none are given.
func DefaultEnvironments() []string { return []string{"daily", "pre", "production"} }

// Key implements [Document].
func (t *Tenant) Key() conf.Key { return KeyOf(KindTenant, t.Name) }

func (t *Tenant) format() *int64 { return &t.Format }

func (t *Tenant) validate(p *problems) {
	const most = 32
	if len(t.Environments) == 0 {
		p.add("environments: has none")
	}
	if len(t.Environments) > most {
		p.add("environments: %d, more than %d", len(t.Environments), most)
		return // and do not compare the names in a list of any length
	}
	for i, e := range t.Environments {
		p.text("environments", tenantProblem(e))
		if slices.Contains(t.Environments[:i], e) {
			p.add("environments: %s stands twice", conf.Clip(e))
		}
	}
	if t.Quota.Documents < 0 || t.Quota.Bytes < 0 {
		p.add("quota: a limit is negative")
	}
	p.text("description", plainProblem(t.Description, maxDescription))
	p.text("owner", plainProblem(t.Owner, maxOwner))
}
