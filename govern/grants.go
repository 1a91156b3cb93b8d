package govern

import (
	"fmt"

	"github.com/linnaname/gdiamond/conf"
)

// Grants are all grants on one scope. They are one document, so that of two changes to the
// rights on a scope that do not know of each other, one fails.
type Grants struct {
	Scope   Scope   `json:"-"` // without a group prefix
	Format  int64   `json:"format"`
	Grants  []Grant `json:"grants"`
	Unknown Unknown `json:"-"`
}

// Grant gives a role on a scope to a subject.
type Grant struct {
	Subject string `json:"subject"` // see [ParseSubject]; one that does not exist gets nothing
	Role    string `json:"role"`
	// GroupPrefix limits the grant to the groups that begin with it. Only grants on a
	// namespace have one.
	GroupPrefix string  `json:"groupPrefix,omitempty"`
	Unknown     Unknown `json:"-"`
}

// Key implements [Document].
func (g *Grants) Key() conf.Key { return KeyOf(KindGrants, g.Scope.String()) }

func (g *Grants) format() *int64 { return &g.Format }

func (g *Grants) validate(p *problems) {
	seen := make(map[[3]string]bool, len(g.Grants))
	for i := range g.Grants {
		grant := &g.Grants[i]
		before := len(*p)
		if _, err := ParseSubject(grant.Subject); err != nil {
			p.text("subject", detail(err, "subject: "))
		}
		p.text("role", nameProblem(grant.Role))
		p.text("groupPrefix", prefixProblem(grant.GroupPrefix))
		if grant.GroupPrefix != "" && g.Scope.Level != LevelNamespace {
			p.add("groupPrefix: only a grant on a namespace has one")
		}
		what := [3]string{grant.Subject, grant.Role, grant.GroupPrefix}
		if seen[what] {
			p.add(": stands twice")
		}
		seen[what] = true
		if len(*p) > before {
			p.under(before, fmt.Sprintf("grants[%d]", i))
		}
	}
}
