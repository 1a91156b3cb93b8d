package govern

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/linnaname/gdiamond/conf"
)

// Limits of names and texts in documents, in bytes.
const (
	// MaxNewNamespace is the limit of the id of a new namespace. Ids of before may have
	// [conf.MaxNamespace] bytes.
	MaxNewNamespace = 100

	maxTenant      = 32
	maxName        = 64
	maxDescription = 1024
	maxOwner       = 256
	maxSAN         = 256
)

// problems collects everything that is wrong with a document.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// text adds a problem of a field, if there is one.
func (p *problems) text(field, problem string) {
	if problem != "" {
		p.add("%s: %s", field, problem)
	}
}

// under puts the path of the object or list that they are in before the problems from the
// one with number first on.
func (p problems) under(first int, path string) {
	for i := first; i < len(p); i++ {
		if p[i][0] == ':' || p[i][0] == '[' {
			p[i] = path + p[i]
		} else {
			p[i] = path + "." + p[i]
		}
	}
}

// err returns all problems in one error that wraps [conf.ErrInvalid], or nil.
func (p problems) err(of string) error {
	if len(p) == 0 {
		return nil
	}
	const most = 10
	shown := p
	if len(shown) > most {
		shown = append(shown[:most:most], fmt.Sprintf("and %d more", len(p)-most))
	}
	if of != "" {
		of += ": "
	}
	return conf.Invalidf("%s%s", of, strings.Join(shown, "; "))
}

// tenantProblem describes why s cannot name a tenant or an environment, or returns "".
func tenantProblem(s string) string { return lettersProblem(s, maxTenant, false) }

// nameProblem describes why s cannot name a role, user, token or team, or returns "".
func nameProblem(s string) string { return lettersProblem(s, maxName, true) }

func lettersProblem(s string, limit int, dots bool) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > limit:
		return fmt.Sprintf("%d bytes, more than %d", len(s), limit)
	}
	allowed := "a-z 0-9 -"
	if dots {
		allowed = "parts of a-z 0-9 - joined by dots"
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || !dots && part != s {
			return fmt.Sprintf("%s is not of %s", conf.Clip(s), allowed)
		}
	}
	return ""
}

// namespaceProblem describes why s cannot be the id of a namespace, or returns "".
func namespaceProblem(s string) string {
	switch {
	case s == "":
		return "is empty"
	case strings.HasPrefix(s, "_"):
		return fmt.Sprintf("%s is the system's, as all that begin with \"_\" are", conf.Clip(s))
	}
	return detail(conf.Key{Namespace: s, DataID: "x"}.Validate(), "namespace: ")
}

// prefixProblem describes why no group can begin with s, or returns "".
func prefixProblem(s string) string {
	if s == "" || s == "." || s == ".." { // no names themselves, but names may begin with them
		return ""
	}
	return detail(conf.Key{Group: s, DataID: "x"}.Validate(), "group: ")
}

// detail returns the words of an error about a key, without the name of its part.
func detail(err error, part string) string {
	if e, ok := err.(*conf.Error); ok {
		return strings.TrimPrefix(e.Detail, part)
	}
	return ""
}

// plainProblem describes why s cannot stand in a line of text, or returns "".
func plainProblem(s string, limit int) string {
	if len(s) > limit {
		return fmt.Sprintf("%d bytes, more than %d", len(s), limit)
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return "holds control characters or is not UTF-8"
		}
	}
	return ""
}
