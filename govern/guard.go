package govern

import (
	"fmt"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// usage tells how many keys a namespace has and how many bytes their contents have together.
type usage func(namespace string) (keys int, bytes int64)

// present tells the size of the content of a key, and whether there is one.
type present func(key conf.Key) (size int64, found bool)

// guards are those of one namespace that a set runs into.
type guards struct {
	namespace string
	names     []string // such as "frozen" and "quota of keys", for the audit
	reasons   []string
}

// refuseDocuments returns the error for a tenant that a set gives more documents, or more bytes
// of them, than its quota has, unless the set does not add to them. Force does not pass it: the
// administrators of the tenant could.
func (p *policy) refuseDocuments(tenant string, before documentCount) error {
	now, quota := p.owned.get(tenant), p.documentQuota(tenant)
	var reason string
	switch {
	case now.count > quota.Documents && now.count > before.count:
		reason = fmt.Sprintf("%d documents, retired ones too, more than the quota of %d", now.count, quota.Documents)
	case now.bytes > quota.Bytes && now.bytes > before.bytes:
		reason = fmt.Sprintf("%d bytes of documents, more than the quota of %d", now.bytes, quota.Bytes)
	default:
		return nil
	}
	return &guardError{conf.Errorf(conf.ErrDenied, "tenant %s: %s; those who administer everything can raise it", tenant, reason), conf.DenialQuota}
}

// guardFrozen is the name of the guard of a frozen namespace.
const guardFrozen = "frozen"

// guard looks at a canonical set that the principal may release. It returns the checks that
// a forced set rests on beside those of its right, and the guards that it passes. The error
// wraps [conf.ErrDenied] and names each guard that refuses the set, or [conf.ErrInvalid] if
// force has no reason. A set that does not add to what is over a quota passes, so that one
// can get below it again.
func (p *policy) guard(principal string, set *conf.ChangeSet, force bool, used usage, has present) (checks []conf.Check, passed []guards, err error) {
	for _, g := range p.guardsOf(set, used, has) {
		if !force {
			return nil, nil, g.refusal(conf.Errorf(conf.ErrDenied, "namespace %s: %s; force and a reason pass it", g.namespace, strings.Join(g.reasons, "; ")))
		}
		if strings.TrimSpace(set.Comment) == "" {
			return nil, nil, g.refusal(conf.Invalidf("comment: is empty; force needs a reason"))
		}
		for key := range written(set) {
			if key.Namespace != g.namespace {
				continue
			}
			d := p.decide(principal, VerbForce, key)
			if !d.allowed {
				return nil, nil, g.refusal(conf.Errorf(conf.ErrDenied, "namespace %s: %s; and not permitted: force on namespace %s", g.namespace, strings.Join(g.reasons, "; "), g.namespace))
			}
			checks = append(checks, d.checks...)
		}
		passed = append(passed, g)
	}
	return checks, passed, nil
}

// written yields the keys that a set writes.
func written(set *conf.ChangeSet) func(func(conf.Key) bool) {
	return func(yield func(conf.Key) bool) {
		for i := range set.Drafts {
			if !yield(set.Drafts[i].Key) {
				return
			}
		}
		for i := range set.Deletes {
			if !yield(set.Deletes[i].Key) {
				return
			}
		}
	}
}

// guardsOf returns the guards that a set runs into, in the order of its namespaces.
func (p *policy) guardsOf(set *conf.ChangeSet, used usage, has present) (all []guards) {
	seen := make(map[string]bool)
	for key := range written(set) {
		n := p.namespace(key.Namespace)
		if n == nil || seen[n.ID] {
			continue
		}
		seen[n.ID] = true
		g := guards{namespace: n.ID}
		if f := n.Frozen; f != nil {
			g.add(guardFrozen, "frozen by %s: %s", f.By, f.Reason)
		}
		g.quota(n, set, used, has)
		if len(g.names) > 0 {
			all = append(all, g)
		}
	}
	return all
}

// refusal returns err as the error of the guards.
func (g *guards) refusal(err error) error {
	if g.names[0] == guardFrozen {
		return &guardError{err, conf.DenialFrozen}
	}
	return &guardError{err, conf.DenialQuota}
}

// guardError is the error of a guard of a namespace that refuses a set.
type guardError struct {
	error
	reason string // one of conf.Denials
}

func (e *guardError) Unwrap() error { return e.error }

func (g *guards) add(name, format string, args ...any) {
	g.names = append(g.names, name)
	g.reasons = append(g.reasons, fmt.Sprintf(format, args...))
}

func (g *guards) quota(n *Namespace, set *conf.ChangeSet, used usage, has present) {
	q := n.Quota
	var moreKeys, moreBytes, largest int64
	for i := range set.Drafts {
		d := &set.Drafts[i]
		if d.Key.Namespace != n.ID {
			continue
		}
		size := int64(len(d.Content))
		largest = max(largest, size)
		if q.Keys == 0 && q.Bytes == 0 {
			continue // look nothing up
		}
		before, found := has(d.Key)
		if !found {
			moreKeys++
		}
		moreBytes += size - before
	}
	if q.Content > 0 && largest > q.Content {
		g.add("quota of content", "content: %d bytes, more than the quota of %d", largest, q.Content)
	}
	if q.Keys == 0 && q.Bytes == 0 {
		return
	}
	for i := range set.Deletes {
		if k := set.Deletes[i].Key; k.Namespace == n.ID {
			if before, found := has(k); found {
				moreKeys--
				moreBytes -= before
			}
		}
	}
	keys, bytes := used(n.ID)
	if q.Keys > 0 && moreKeys > 0 && int64(keys)+moreKeys > q.Keys {
		g.add("quota of keys", "keys: %d, more than the quota of %d", int64(keys)+moreKeys, q.Keys)
	}
	if q.Bytes > 0 && moreBytes > 0 && bytes+moreBytes > q.Bytes {
		g.add("quota of bytes", "bytes: %d, more than the quota of %d", bytes+moreBytes, q.Bytes)
	}
}
