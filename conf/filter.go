package conf

import "strings"

// AllNamespaces as the Namespace of a [Filter] stands for all namespaces but the
// system's. It is not valid in a [Key]: a name has no asterisk, so no namespace can have
// this one.
const AllNamespaces = "*"

// Filter selects keys. Namespace says where, and Group and Prefix narrow.
type Filter struct {
	// Namespace is the namespace of the keys, [DefaultNamespace] if it is empty, or
	// [AllNamespaces]. An empty one does not stand for all, as an empty Group does,
	// because a namespace is the border between tenants: nobody crosses it by leaving
	// something out.
	Namespace string
	Group     string // of the keys, or "" for all groups
	Prefix    string // what the data ids begin with
}

// Matches reports whether f selects k. As everywhere, a zero part of k stands for its
// default. The system's keys, which servers refuse at every public door, are not among
// those of AllNamespaces.
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
