package govern

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// RightsStatus returns what the Centre has decided since it was made, how full the namespaces
// are that have quotas, and the quotas of documents, and which secrets expire first. It is what
// metrics show. It looks at all namespaces, tenants and tokens, at no key and in no storage.
func (c *Centre) RightsStatus() conf.RightsStatus {
	stats, policy := c.Stats(), c.judge.now.Load().policy
	return conf.RightsStatus{
		Mode: stats.Mode, Denied: stats.Denied, WouldDeny: stats.WouldDeny,
		Proofs: stats.Proofs, Redecided: stats.Redecided, CatchUps: stats.CatchUps,
		Quotas: policy.quotas(c.door.Usage), Documents: policy.documentUses(), Secrets: policy.expiries(time.Now()),
	}
}

// quotas returns how much of their quotas the namespaces have used, the fullest first.
func (p *policy) quotas(used usage) (all []conf.QuotaUse) {
	for id := range p.documents[KindNamespace].all() {
		n := p.namespace(id)
		if n == nil || n.Quota.Keys <= 0 && n.Quota.Bytes <= 0 {
			continue
		}
		keys, bytes := used(id)
		for _, q := range []conf.QuotaUse{
			{Namespace: id, Quota: "keys", Used: int64(keys), Limit: n.Quota.Keys},
			{Namespace: id, Quota: "bytes", Used: bytes, Limit: n.Quota.Bytes},
		} {
			if q.Limit > 0 {
				all = append(all, q)
			}
		}
	}
	share := func(q conf.QuotaUse) float64 { return float64(q.Used) / float64(q.Limit) }
	slices.SortFunc(all, func(a, b conf.QuotaUse) int {
		return cmp.Or(cmp.Compare(share(b), share(a)), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Quota, b.Quota))
	})
	return all[:min(len(all), conf.MaxQuotaUses)]
}

// documentUses returns how much of their quotas of documents the tenants have used, the fullest
// first.
func (p *policy) documentUses() (all []conf.DocumentUse) {
	for tenant, has := range p.owned.all() {
		quota := p.documentQuota(tenant)
		all = append(all,
			conf.DocumentUse{Tenant: tenant, Quota: "documents", Used: has.count, Limit: quota.Documents},
			conf.DocumentUse{Tenant: tenant, Quota: "bytes", Used: has.bytes, Limit: quota.Bytes})
	}
	share := func(u conf.DocumentUse) float64 { return float64(u.Used) / float64(u.Limit) }
	slices.SortFunc(all, func(a, b conf.DocumentUse) int {
		return cmp.Or(cmp.Compare(share(b), share(a)), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Quota, b.Quota))
	})
	return all[:min(len(all), conf.MaxQuotaUses)]
}

// expiries returns the tokens that will expire, the first of them first.
func (p *policy) expiries(now time.Time) (all []conf.SecretExpiry) {
	for name := range p.documents[KindToken].all() {
		t := document[*Token](p.get(KindToken, name))
		if t == nil || t.Retired {
			continue
		}
		if expires := t.firstExpiry(now); !expires.IsZero() {
			all = append(all, conf.SecretExpiry{Token: name, Expires: expires})
		}
	}
	slices.SortFunc(all, func(a, b conf.SecretExpiry) int {
		return cmp.Or(a.Expires.Compare(b.Expires), strings.Compare(a.Token, b.Token))
	})
	return all[:min(len(all), conf.MaxSecretExpiries)]
}
