package govern

import (
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// User is a person.
type User struct {
	Name        string `json:"-"` // parts of a-z 0-9 - joined by dots, at most 64 bytes; never used again
	Format      int64  `json:"format"`
	Description string `json:"description,omitempty"`
	// Retired says that the user has no rights any more. It stays so.
	Retired bool `json:"retired,omitempty"`
	// Generation is the generation of the epoch in which the document was last written. The
	// centre sets it.
	Generation int64   `json:"generation,omitempty"`
	Unknown    Unknown `json:"-"`
}

// Key implements [Document].
func (u *User) Key() conf.Key { return KeyOf(KindUser, u.Name) }

// Principal returns the name of the user as a principal and as a subject.
func (u *User) Principal() string { return string(SubjectUser) + ":" + u.Name }

func (u *User) format() *int64 { return &u.Format }

func (u *User) validate(p *problems) {
	p.text("description", plainProblem(u.Description, maxDescription))
	if u.Generation < 0 {
		p.add("generation: is negative")
	}
}

// TenantOf returns the tenant that a user, token or team of that name belongs to: the part
// before the first dot. It returns "" for a global name, which has no dot.
func TenantOf(name string) string {
	tenant, _, dotted := strings.Cut(name, ".")
	if !dotted {
		return ""
	}
	return tenant
}
