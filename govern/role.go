package govern

import (
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// The names of the roles that a centre has from the start.
const (
	RoleReader        = "reader"        // list, read
	RoleWriter        = "writer"        // and write
	RoleReleaser      = "releaser"      // and release
	RoleAdministrator = "administrator" // all verbs; it always has administer
)

// Role is a set of verbs with a name.
type Role struct {
	Name        string   `json:"-"` // parts of a-z 0-9 - joined by dots, at most 64 bytes
	Format      int64    `json:"format"`
	Verbs       []string `json:"verbs"` // names of verbs; one that includes others need not be beside them
	Description string   `json:"description,omitempty"`
	Unknown     Unknown  `json:"-"`
}

// BuiltInRoles returns the roles that a centre has from the start.
func BuiltInRoles() []*Role {
	return []*Role{
		{Name: RoleReader, Verbs: []string{"list", "read"}},
		{Name: RoleWriter, Verbs: []string{"list", "read", "write"}},
		{Name: RoleReleaser, Verbs: []string{"list", "read", "write", "release"}},
		{Name: RoleAdministrator, Verbs: Verbs()},
	}
}

// Key implements [Document].
func (r *Role) Key() conf.Key { return KeyOf(KindRole, r.Name) }

func (r *Role) format() *int64 { return &r.Format }

func (r *Role) validate(p *problems) {
	if len(r.Verbs) == 0 {
		p.add("verbs: has none")
	}
	for i, v := range r.Verbs {
		if _, err := ParseVerb(v); err != nil {
			p.text("verbs", detail(err, "verb: "))
		}
		if slices.Contains(r.Verbs[:i], v) {
			p.add("verbs: %s stands twice", conf.Clip(v))
			return // and do not look into a list of any length
		}
	}
	p.text("description", plainProblem(r.Description, maxDescription))
}

// set returns the verbs with all that they include.
func (r *Role) set() (s verbSet) {
	for _, name := range r.Verbs {
		if v, err := ParseVerb(name); err == nil {
			s = s.with(v)
		}
	}
	return s
}
