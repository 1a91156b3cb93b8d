package govern

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// rights are all that one principal may do with values, by its own grants and those of its
// teams. They do not change.
type rights struct {
	all       verbSet           // on everything
	scopes    map[Scope]verbSet // on tenants and environments themselves
	spaces    map[string]*space // by namespace, what is granted there beyond all
	ids       []string          // the keys of spaces, sorted
	directory *directory        // the registered namespaces; nil unless all has a verb
}

// space is what a principal may do in one namespace.
type space struct {
	verbs    verbSet
	prefixes []prefixed // sorted by prefix
}

// prefixed are verbs on the groups that begin with a prefix.
type prefixed struct {
	prefix string
	verbs  verbSet
}

// directory are the registered namespaces.
type directory struct {
	ids []string // sorted
	has map[string]struct{}
}

// equal reports whether d and o have the same namespaces. Both may be nil.
func (d *directory) equal(o *directory) bool {
	return d == o || d != nil && o != nil && slices.Equal(d.ids, o.ids)
}

// can reports whether verb is permitted on a canonical key that is no document. r may be
// nil, and permits nothing then. It does not allocate.
func (r *rights) can(verb Verb, key conf.Key) bool {
	if r == nil {
		return false
	}
	s := r.spaces[key.Namespace]
	if s != nil {
		if (s.verbs | r.all).has(verb) {
			return true
		}
		granted := s.verbs | r.all
		for i := range s.prefixes {
			if strings.HasPrefix(key.Group, s.prefixes[i].prefix) {
				if granted |= s.prefixes[i].verbs; granted.has(verb) {
					return true
				}
			}
		}
		return false
	}
	if !r.all.has(verb) {
		return false
	}
	_, ok := r.directory.has[key.Namespace]
	return ok
}

// everything reports whether verb is permitted in all registered namespaces.
func (r *rights) everything(verb Verb) bool { return r != nil && r.all.has(verb) }

// namespaces yields the namespaces in which verb is permitted, in whole or in part, in
// order.
func (r *rights) namespaces(verb Verb) iter.Seq[string] {
	return func(yield func(string) bool) {
		if r == nil {
			return
		}
		ids := r.ids
		if r.all.has(verb) {
			ids = r.directory.ids
		}
		for _, id := range ids {
			if whole, prefixes := r.within(verb, id); (whole || len(prefixes) > 0) && !yield(id) {
				return
			}
		}
	}
}

// within reports whether verb is permitted in the whole of a namespace, and if it is not,
// the prefixes of the groups where it is, sorted, none of which begins with another.
func (r *rights) within(verb Verb, namespace string) (whole bool, prefixes []string) {
	if r == nil {
		return false, nil
	}
	s := r.spaces[namespace]
	if s == nil {
		return r.can(verb, conf.Key{Namespace: namespace}), nil
	}
	if (s.verbs | r.all).has(verb) {
		return true, nil
	}
	for _, p := range s.prefixes {
		covered := len(prefixes) > 0 && strings.HasPrefix(p.prefix, prefixes[len(prefixes)-1])
		if !covered && p.verbs.has(verb) {
			prefixes = append(prefixes, p.prefix)
		}
	}
	return false, prefixes
}

// anywhere reports whether verb is permitted on any scope, be it without a namespace.
func (r *rights) anywhere(verb Verb) bool {
	if r == nil {
		return false
	}
	if r.all.has(verb) {
		return true
	}
	for _, verbs := range r.scopes {
		if verbs.has(verb) {
			return true
		}
	}
	for range r.namespaces(verb) {
		return true
	}
	return false
}

// grant adds what a grant gives in a namespace.
func (r *rights) grant(namespace, prefix string, verbs verbSet) {
	s := r.spaces[namespace]
	if s == nil {
		s = &space{}
		r.spaces[namespace] = s
	}
	if prefix == "" {
		s.verbs |= verbs
		return
	}
	i, found := slices.BinarySearchFunc(s.prefixes, prefix, func(p prefixed, prefix string) int {
		return strings.Compare(p.prefix, prefix)
	})
	if !found {
		s.prefixes = slices.Insert(s.prefixes, i, prefixed{prefix: prefix})
	}
	s.prefixes[i].verbs |= verbs
}

// equal reports whether r and o permit the same.
func (r *rights) equal(o *rights) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.all == o.all && r.directory.equal(o.directory) && maps.Equal(r.scopes, o.scopes) &&
		maps.EqualFunc(r.spaces, o.spaces, func(a, b *space) bool {
			return a.verbs == b.verbs && slices.Equal(a.prefixes, b.prefixes)
		})
}
