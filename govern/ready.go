package govern

import (
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// ready returns nil if all documents can be read that decisions about a namespace rest on.
// The error wraps [conf.ErrUnavailable] and names the document. What such a document takes
// away is not known, so that nothing can be decided; but other namespaces are not concerned.
// A document of the centre, a role, a team, and the grants on everything concern all.
func (p *policy) ready(namespace string) error {
	if len(p.unread) == 0 {
		return nil
	}
	if err := p.readyAnywhere(); err != nil {
		return err
	}
	about := make([]conf.Key, 0, 5)
	about = append(about, KeyOf(KindNamespace, namespace), KeyOf(KindGrants, NamespaceScope(namespace).String()))
	if n := document[*Namespace](p.get(KindNamespace, namespace)); n != nil && n.Tenant != "" {
		about = append(about, KeyOf(KindTenant, n.Tenant), KeyOf(KindGrants, TenantScope(n.Tenant).String()),
			KeyOf(KindGrants, EnvironmentScope(n.Tenant, n.Environment).String()))
	}
	for _, key := range p.unread {
		if slices.Contains(about, key) {
			return p.unreadable(key)
		}
	}
	return nil
}

// readyAnywhere returns nil if all documents can be read that concern all namespaces. The
// error is as that of ready.
func (p *policy) readyAnywhere() error {
	for _, key := range p.unread {
		switch key.Group {
		case KindCentre, KindRole, KindTeam:
			return p.unreadable(key)
		case KindGrants:
			if key.DataID == AllScope().String() {
				return p.unreadable(key)
			}
		}
	}
	return nil
}

// readyEverywhere returns nil if all documents can be read that concern any namespace. Those
// of users and tokens concern only themselves. The error is as that of ready.
func (p *policy) readyEverywhere() error {
	for _, key := range p.unread {
		if key.Group != KindUser && key.Group != KindToken {
			return p.unreadable(key)
		}
	}
	return nil
}

// readyFor returns nil if the document of a principal can be read, or if it has none. The
// error is as that of ready.
func (p *policy) readyFor(principal string) error {
	if len(p.unread) == 0 {
		return nil
	}
	s, err := ParseSubject(principalName(principal))
	if err != nil {
		return nil
	}
	for _, key := range p.unread {
		if key == KeyOf(string(s.Kind), s.Name) {
			return p.unreadable(key)
		}
	}
	return nil
}

// unreadSince reports whether a document can be read in only one of p and before. From whom such
// a document takes something is not known. Those of users and tokens do not count: they concern
// only themselves, whom apply names.
func (p *policy) unreadSince(before *policy) bool {
	for _, both := range [][2]*policy{{p, before}, {before, p}} {
		for _, key := range both[0].unread {
			if _, found := slices.BinarySearchFunc(both[1].unread, key, conf.Key.Compare); !found && key.Group != KindUser && key.Group != KindToken {
				return true
			}
		}
	}
	return false
}

func (p *policy) unreadable(key conf.Key) error {
	err := p.get(key.Group, key.DataID).err
	return &conf.Error{Key: key, Err: conf.ErrUnavailable, Detail: "the document cannot be read: " + err.Error()}
}
