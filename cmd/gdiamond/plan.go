package main

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
)

// What a plan says about a document.
const (
	actionCreate = "create"
	actionChange = "change"
	actionSame   = "same"
	actionDrift  = "drift"  // the servers have it, and no file does
	actionRemove = "remove" // drift that --prune removes, or retires if its name is never used again
)

// step is what a plan says about one document.
type step struct {
	Action  string        `json:"action" yaml:"action"`
	Kind    string        `json:"kind" yaml:"kind"`
	Name    string        `json:"name" yaml:"name"`
	Changes []fieldChange `json:"changes,omitempty" yaml:"changes,omitempty"`

	draft  diamond.Draft
	delete *diamond.Delete // instead of draft
}

// fieldChange is a field that differs. Of a list it has the members that are added or
// removed.
type fieldChange struct {
	Field string `json:"field" yaml:"field"`
	Old   string `json:"old,omitempty" yaml:"old,omitempty"`
	New   string `json:"new,omitempty" yaml:"new,omitempty"`
}

// plan compares documents of files with those of the servers.
type plan []step

// count returns the number of steps with one of the actions.
func (p plan) count(actions ...string) (n int) {
	for _, s := range p {
		if slices.Contains(actions, s.Action) {
			n++
		}
	}
	return n
}

// makePlan returns the steps from what the servers have to what files want, in the order
// in which documents depend on each other. It reports everything that cannot be done.
func makePlan(files []wanted, present map[conf.Key]admin.Stored) (plan, []error) {
	var all plan
	var problems []error
	inFiles := map[conf.Key]bool{}
	kinds := map[string]bool{}
	for _, w := range files {
		key := w.doc.Key()
		inFiles[key], kinds[key.Group] = true, true
		s, err := stepTo(w.doc, present[key])
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", w.place, err))
			continue
		}
		all = append(all, s)
	}
	for key, stored := range present {
		if !inFiles[key] && kinds[key.Group] && ended(stored.Document) == "" && !fromTheStart(stored.Document) {
			all = append(all, step{Action: actionDrift, Kind: key.Group, Name: key.DataID})
		}
	}
	slices.SortFunc(all, func(a, b step) int {
		return cmp.Or(cmp.Compare(rankOf(a.Kind), rankOf(b.Kind)), strings.Compare(a.Name, b.Name))
	})
	return all, problems
}

// fromTheStart reports whether a centre has a document from its set-up on, so that files
// need not have it.
func fromTheStart(doc govern.Document) bool {
	switch doc := doc.(type) {
	case *govern.Role:
		return slices.ContainsFunc(govern.BuiltInRoles(), func(r *govern.Role) bool { return r.Name == doc.Name })
	case *govern.Namespace:
		return doc.ID == conf.DefaultNamespace
	}
	return false
}

// stepTo returns the step from what is present, which may be nothing, to a document.
func stepTo(doc govern.Document, present admin.Stored) (step, error) {
	key := doc.Key()
	s := step{Action: actionSame, Kind: key.Group, Name: key.DataID}
	base := present.Document
	switch {
	case base == nil:
		s.Action = actionCreate
		var err error
		if base, err = govern.NewDocument(key); err != nil {
			return s, err
		}
	case ended(base) == "retired":
		return s, errRetired(base)
	case ended(base) == "deleted":
		s.Action = actionCreate
		if err := restore(base, doc); err != nil {
			return s, err
		}
	}
	for _, field := range fileKinds[rankOf(key.Group)].fields {
		s.Changes = append(s.Changes, overlay(base, doc, field)...)
	}
	if s.Action == actionSame && len(s.Changes) == 0 {
		return s, nil
	}
	if n, ok := base.(*govern.Namespace); ok && present.Document != nil && slices.ContainsFunc(s.Changes, func(c fieldChange) bool {
		return c.Field == "tenant" || c.Field == "environment"
	}) {
		return s, conf.Errorf(conf.ErrConflict, "namespace %s: its tenant and environment never change", n.ID)
	}
	if s.Action == actionSame {
		s.Action = actionChange
	}
	var err error
	s.draft, err = govern.Draft(base, present.Revision)
	return s, err
}

// restore lets a document of something that was deleted stand for it again.
func restore(base, doc govern.Document) error {
	switch base := base.(type) {
	case *govern.Tenant:
		base.Deleted = false
	case *govern.Namespace:
		if n := doc.(*govern.Namespace); n.Tenant != base.Tenant || n.Environment != base.Environment {
			return conf.Errorf(conf.ErrConflict, "namespace %s: was that of %s %s, and cannot become another's", n.ID, base.Tenant, base.Environment)
		}
		base.Deleted = false
	}
	return nil
}

// overlay gives a field of base the value that it has in doc, and returns what differs.
// Unknown fields of base stay.
func overlay(base, doc govern.Document, field string) []fieldChange {
	switch base := base.(type) {
	case *govern.Grants:
		return overlayGrants(base, doc.(*govern.Grants))
	case *govern.Namespace:
		if field == "quota" {
			return overlayStruct(reflect.ValueOf(&base.Quota).Elem(), reflect.ValueOf(doc.(*govern.Namespace).Quota), "quota.")
		}
	}
	to, from := fieldNamed(base, field), fieldNamed(doc, field)
	list, isList := from.Interface().([]string)
	if !isList {
		return overlayValue(to, from, field)
	}
	old := to.Interface().([]string)
	if field == "environments" { // its order counts
		if slices.Equal(old, list) {
			return nil
		}
		to.Set(from)
		return []fieldChange{{field, strings.Join(old, ","), strings.Join(list, ",")}}
	}
	added, removed := without(list, old), without(old, list)
	if len(added)+len(removed) == 0 {
		return nil
	}
	to.Set(from)
	return []fieldChange{{field, strings.Join(removed, ","), strings.Join(added, ",")}}
}

func overlayValue(to, from reflect.Value, field string) []fieldChange {
	if to.Interface() == from.Interface() {
		return nil
	}
	change := fieldChange{field, fmt.Sprint(to.Interface()), fmt.Sprint(from.Interface())}
	to.Set(from)
	return []fieldChange{change}
}

func overlayStruct(to, from reflect.Value, prefix string) (changes []fieldChange) {
	for i := range to.NumField() {
		if name, _, _ := strings.Cut(to.Type().Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			changes = append(changes, overlayValue(to.Field(i), from.Field(i), prefix+name)...)
		}
	}
	return changes
}

// overlayGrants keeps the grants of base that doc has, with their unknown fields, removes
// the others, and adds the new ones.
func overlayGrants(base, doc *govern.Grants) []fieldChange {
	var old, added []string
	base.Grants = slices.DeleteFunc(base.Grants, func(g govern.Grant) bool {
		if slices.ContainsFunc(doc.Grants, equals(g)) {
			return false
		}
		old = append(old, grantText(g))
		return true
	})
	for _, g := range doc.Grants {
		if !slices.ContainsFunc(base.Grants, equals(g)) {
			base.Grants = append(base.Grants, g)
			added = append(added, grantText(g))
		}
	}
	if len(old)+len(added) == 0 {
		return nil
	}
	return []fieldChange{{"grants", strings.Join(old, ", "), strings.Join(added, ", ")}}
}

func grantText(g govern.Grant) string {
	text := g.Subject + " " + g.Role
	if g.GroupPrefix != "" {
		text += " " + g.GroupPrefix + "*"
	}
	return text
}

// fieldNamed returns the field of a document by its name in JSON.
func fieldNamed(doc govern.Document, name string) reflect.Value {
	v := reflect.ValueOf(doc).Elem()
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
			return v.Field(i)
		}
	}
	panic("no field " + name + " in a " + doc.Key().Group) // a table in this program is wrong
}

// without returns the members of a that are not in b.
func without(a, b []string) (rest []string) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// prune has the plan remove what no file has, but not the principal self.
func (p plan) prune(present map[conf.Key]admin.Stored, self string) error {
	for i := range p {
		s := &p[i]
		if s.Action != actionDrift || s.Kind+":"+s.Name == self {
			continue
		}
		stored := present[govern.KeyOf(s.Kind, s.Name)]
		s.Action = actionRemove
		switch doc := stored.Document.(type) {
		case *govern.Role, *govern.Grants:
			s.delete = &diamond.Delete{Key: doc.Key(), IfRevision: &stored.Revision}
			continue
		case *govern.Tenant:
			doc.Deleted = true
		case *govern.Namespace:
			doc.Deleted = true
		default:
			if err := retire(doc); err != nil {
				return err
			}
		}
		var err error
		if s.draft, err = govern.Draft(stored.Document, stored.Revision); err != nil {
			return err
		}
	}
	return nil
}

// Limits of one set of an apply. A document has at most [govern.MaxDocument] bytes, so a
// set is within [conf.MaxSetBytes].
const (
	applySetChanges = 900
	applySetBytes   = conf.MaxSetBytes - govern.MaxDocument
)

// sets returns the change sets of the plan: what is created and changed in the order in
// which documents depend on each other, then what is removed in the opposite order.
func (p plan) sets(comment string) (sets []diamond.ChangeSet) {
	size := 0
	set := diamond.ChangeSet{Comment: comment}
	flush := func() {
		if set.Len() > 0 {
			sets = append(sets, set)
			set, size = diamond.ChangeSet{Comment: comment}, 0
		}
	}
	add := func(s step) {
		if set.Len() == applySetChanges || size > 0 && size+len(s.draft.Content) > applySetBytes {
			flush()
		}
		if s.delete != nil {
			set.Deletes = append(set.Deletes, *s.delete)
			return
		}
		set.Drafts = append(set.Drafts, s.draft)
		size += len(s.draft.Content)
	}
	for _, s := range p {
		if s.Action == actionCreate || s.Action == actionChange {
			add(s)
		}
	}
	for _, s := range slices.Backward(p) {
		if s.Action == actionRemove {
			add(s)
		}
	}
	flush()
	return sets
}
