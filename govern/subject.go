package govern

import (
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// Anonymous is the subject of callers who prove no identity. Those who prove one do not
// have its rights.
const Anonymous = "anonymous"

// SubjectKind is the kind of a [Subject].
type SubjectKind string

// The kinds of subjects.
const (
	SubjectAnonymous   SubjectKind = "anonymous"
	SubjectUser        SubjectKind = "user"
	SubjectToken       SubjectKind = "token"
	SubjectTeam        SubjectKind = "team"
	SubjectCertificate SubjectKind = "cert"
)

// Subject is what a grant gives a role to. Every subject but a team is a principal, and its
// written form is the name of that principal.
type Subject struct {
	Kind SubjectKind
	// Name is the name of the user, token or team. For a certificate it is KIND:SAN, where
	// KIND is dns, uri or email and SAN is the exact subject alternative name. It is empty
	// for the anonymous.
	Name string
}

// ParseSubject reads "user:N", "token:N", "team:N", "cert:KIND:SAN" or "anonymous". Errors
// wrap [conf.ErrInvalid].
func ParseSubject(s string) (Subject, error) {
	if s == Anonymous {
		return Subject{Kind: SubjectAnonymous}, nil
	}
	kind, name, _ := strings.Cut(s, ":")
	problem := ""
	switch SubjectKind(kind) {
	case SubjectUser, SubjectToken, SubjectTeam:
		problem = nameProblem(name)
	case SubjectCertificate:
		problem = certificateProblem(name)
	default:
		return Subject{}, conf.Invalidf("subject: %s is none of user:N, token:N, team:N, cert:KIND:SAN and anonymous", conf.Clip(s))
	}
	if problem != "" {
		return Subject{}, conf.Invalidf("subject: %s: %s", conf.Clip(s), problem)
	}
	return Subject{SubjectKind(kind), name}, nil
}

func certificateProblem(name string) string {
	kind, san, _ := strings.Cut(name, ":")
	switch {
	case kind != "dns" && kind != "uri" && kind != "email":
		return "kind of name: is none of dns, uri and email"
	case san == "":
		return "name: is empty"
	}
	return plainProblem(san, maxSAN)
}

// String returns the form that [ParseSubject] reads.
func (s Subject) String() string {
	if s.Kind == SubjectAnonymous {
		return Anonymous
	}
	return string(s.Kind) + ":" + s.Name
}

// principalName returns the name of a principal as grants write it.
func principalName(name string) string {
	if name == "" {
		return Anonymous
	}
	return name
}
