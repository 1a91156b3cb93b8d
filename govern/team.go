package govern

import (
	"fmt"

	"github.com/linnaname/gdiamond/conf"
)

// Team is a set of users and tokens that have the rights of the team beside their own. A
// team T.NAME belongs to the tenant T, whose administrators say who is in it.
type Team struct {
	Name        string   `json:"-"` // parts of a-z 0-9 - joined by dots, at most 64 bytes; never used again
	Format      int64    `json:"format"`
	Description string   `json:"description,omitempty"`
	Members     []string `json:"members,omitempty"` // user:NAME and token:NAME
	// Retired says that the team gives no rights any more. It stays so.
	Retired    bool    `json:"retired,omitempty"`
	Generation int64   `json:"generation,omitempty"` // as in User
	Unknown    Unknown `json:"-"`
}

// Key implements [Document].
func (t *Team) Key() conf.Key { return KeyOf(KindTeam, t.Name) }

// Subject returns the name of the team as a subject.
func (t *Team) Subject() string { return string(SubjectTeam) + ":" + t.Name }

func (t *Team) format() *int64 { return &t.Format }

func (t *Team) validate(p *problems) {
	p.text("description", plainProblem(t.Description, maxDescription))
	seen := make(map[string]bool, len(t.Members))
	for i, m := range t.Members {
		at := fmt.Sprintf("members[%d]", i)
		switch s, err := ParseSubject(m); {
		case err != nil:
			p.text(at, detail(err, "subject: "))
		case s.Kind != SubjectUser && s.Kind != SubjectToken:
			p.add("%s: is neither a user nor a token", at)
		case seen[m]:
			p.add("%s: stands twice", at)
		}
		seen[m] = true
	}
	if t.Generation < 0 {
		p.add("generation: is negative")
	}
}
