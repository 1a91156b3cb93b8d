package conf

import "strings"

// AllNamespaces as the Namespace of a [Filter] or of a request stands for all
// namespaces but the system's. It is not valid in a [Key]: names have no asterisk.
const AllNamespaces = "*"

// Filter selects keys of a namespace, optionally only those of a group or with a prefix.
type Filter struct {
	// Namespace is the namespace of the keys, or [AllNamespaces]. If it is empty it stands
	// for [DefaultNamespace], and not for all namespaces, although an empty Group stands for
	// all groups: a namespace separates tenants, and nobody should read those of others by
	// leaving something out.
	Namespace string
	Group     string // of the keys, or "" for all groups
	Prefix    string // of the data ids, or "" for all
}

// Validate reports every part of f that breaks the grammar of keys, in one error that
// wraps [ErrInvalid], or [ErrDenied] for a namespace of the system.
func (f Filter) Validate() error {
	var p problems
	if f.Namespace != "" && f.Namespace != AllNamespaces {
		p.addPart("namespace", f.Namespace, MaxNamespace)
	}
	if f.Group != "" {
		p.addPart("group", f.Group, MaxGroup)
	}
	if f.Prefix != "" && f.Prefix != "." && f.Prefix != ".." { // not names themselves, but names may begin with them
		p.addPart("prefix", f.Prefix, MaxDataID)
	}
	if err := p.err(); err != nil {
		return err
	}
	if (Key{Namespace: f.Namespace}).System() {
		return systemError(f.Namespace)
	}
	return nil
}

// Matches reports whether f selects k. An empty part of k stands for its default.
func (f Filter) Matches(k Key) bool {
	k = k.Canonical()
	return f.covers(k) && (f.Group == "" || k.Group == f.Group) && strings.HasPrefix(k.DataID, f.Prefix)
}

// covers reports whether the canonical k is in the namespace of f.
func (f Filter) covers(k Key) bool {
	switch f.Namespace {
	case AllNamespaces:
		return !k.System()
	case "":
		return k.Namespace == DefaultNamespace
	}
	return k.Namespace == f.Namespace
}
