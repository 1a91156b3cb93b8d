package conf

import (
	"fmt"
	"strings"
)

// ParseKey reads "dataId", "group/dataId" or "namespace/group/dataId", which is the form
// that [Key.String] returns. A part may not be empty. Errors wrap [ErrInvalid].
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "/")
	for _, part := range parts {
		if part == "" {
			return Key{}, Invalidf("key %s: a part is empty", Clip(s))
		}
	}
	var k Key
	switch len(parts) {
	case 1:
		k.DataID = parts[0]
	case 2:
		k.Group, k.DataID = parts[0], parts[1]
	case 3:
		k.Namespace, k.Group, k.DataID = parts[0], parts[1], parts[2]
	default:
		return Key{}, Invalidf("key %s: more than three parts", Clip(s))
	}
	k = k.Canonical()
	return k, k.Validate()
}

// Validate reports every part of the canonical k that breaks the grammar, in
// one error that wraps [ErrInvalid] and names each field and its rule.
func (k Key) Validate() error {
	k = k.Canonical()
	var p problems
	p.addPart("namespace", k.Namespace, MaxNamespace)
	p.addPart("group", k.Group, MaxGroup)
	p.addPart("dataId", k.DataID, MaxDataID)
	return p.err()
}

// problems collects everything that is wrong with a request, so that one error names it all.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

// addPart adds what is wrong with s as a part of a key of at most limit bytes.
func (p *problems) addPart(field, s string, limit int) {
	if problem := partProblem(s, limit); problem != "" {
		p.add("%s: %s", field, problem)
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return Invalidf("%s", strings.Join(p, "; "))
}

// ValidatePublic checks that callers may ask for the canonical k. Errors wrap [ErrInvalid],
// or [ErrDenied] for a key in a namespace of the system.
func ValidatePublic(k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if k.System() {
		return systemError(k.Namespace)
	}
	return nil
}

func systemError(namespace string) error {
	return Errorf(ErrDenied, `namespace: %s is the system's, as all that begin with "_" are`, Clip(namespace))
}

// isPlain reports whether s is UTF-8 without control characters, so that it can
// stand in a header, a log line and a terminal.
func isPlain(s string) bool {
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == '\uFFFD' || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
