package codec

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/internal/document"
)

// A key of a properties file is a path: "a.b" is field b of a, "a[0]" the first item of a, and
// "a[k]" the value of the map a at k. The functions here group paths by their first field, key
// or index. The rest of each path is decoded later.

// groups collects members by the first parts of their paths, in order of appearance.
type groups struct {
	order []string
	of    map[string]*document.Member
	whole map[string]bool // names at which a path ends, with a text
}

func newGroups() *groups {
	return &groups{of: make(map[string]*document.Member), whole: make(map[string]bool)}
}

// add adds a member whose path begins with name; rest is the remaining path.
func (g *groups) add(d *decoder, name, rest string, m *document.Member) error {
	at := g.of[name]
	if at == nil {
		at = &document.Member{Key: name, Line: m.Line, Value: document.Node{Kind: document.Properties, Line: m.Line}}
		g.of[name] = at
		g.order = append(g.order, name)
	} else if g.whole[name] && rest == "" {
		return d.errorf(int(m.Line), 0, reasonTwice)
	} else if g.whole[name] || rest == "" {
		return d.errorf(int(m.Line), 0, "a key has a value of its own, and another goes on below it")
	}
	if rest == "" {
		g.whole[name] = true
		at.Value = m.Value
		return nil
	}
	at.Value.Members = append(at.Value.Members, document.Member{Key: rest, Line: m.Line, Value: m.Value})
	return nil
}

func (g *groups) members() []document.Member {
	out := make([]document.Member, len(g.order))
	for i, name := range g.order {
		out[i] = *g.of[name]
	}
	return out
}

// byField groups the members of n by fields of a struct. The name of a field may have dots,
// and the longest matching name counts. Paths without a field keep their whole key.
func (d *decoder) byField(n *document.Node, known *fields) ([]document.Member, error) {
	g := newGroups()
	var unknown []document.Member
	for i := range n.Members {
		m := &n.Members[i]
		name, rest := known.longest(m.Key)
		if name == "" {
			unknown = append(unknown, *m)
			continue
		}
		if err := g.add(d, name, rest, m); err != nil {
			return nil, err
		}
	}
	return append(g.members(), unknown...), nil
}

// longest returns the longest name of a field that is a prefix of path.
func (f *fields) longest(path string) (name, rest string) {
	for end := len(path); end > 0; end = strings.LastIndexAny(path[:end], ".[") {
		if end > f.most {
			continue
		}
		if x := f.find(path[:end]); x != nil && path[end:] != "." {
			return x.name, strings.TrimPrefix(path[end:], ".")
		}
	}
	return "", ""
}

// byKey groups the members of n by keys of a map. In a map of scalars the whole path is the
// key; in any other map the key is the first part of the path, or the part in brackets.
func (d *decoder) byKey(n *document.Node, elem reflect.Type) ([]document.Member, error) {
	g := newGroups()
	for i := range n.Members {
		m := &n.Members[i]
		key, rest, ok := bracketed(m.Key)
		switch {
		case ok && (rest == "" || !takesText(elem)):
		case ok:
			return nil, d.errorf(int(m.Line), 0, "a path goes on below a value")
		case takesText(elem):
			key, rest = m.Key, ""
		default:
			key, rest = m.Key, ""
			if at := strings.IndexAny(m.Key, ".["); at >= 0 && m.Key[at:] != "." {
				key, rest = m.Key[:at], strings.TrimPrefix(m.Key[at:], ".")
			}
		}
		if err := g.add(d, key, rest, m); err != nil {
			return nil, err
		}
	}
	return g.members(), nil
}

// takesText reports whether a value of t is decoded from one text.
func takesText(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		return false
	}
	return true
}

// byIndex returns the items of a list, whose paths begin with [0], [1] and so
// on, in any order and without a gap.
func (d *decoder) byIndex(n *document.Node) ([]document.Member, error) {
	g := newGroups()
	for i := range n.Members {
		m := &n.Members[i]
		index, rest, ok := bracketed(m.Key)
		if !ok {
			return nil, d.errorf(int(m.Line), 0, "an item of a list is written with its index, as in name[0]")
		}
		if err := g.add(d, index, rest, m); err != nil {
			return nil, err
		}
	}
	out := make([]document.Member, len(g.order))
	for i := range out {
		item := g.of[strconv.Itoa(i)]
		if item == nil {
			return nil, d.errorf(int(n.Line), 0, "the indexes of a list do not go from 0 up without a gap")
		}
		out[i] = *item
	}
	return out, nil
}

// bracketed splits a path that begins with a part in brackets.
func bracketed(path string) (part, rest string, ok bool) {
	end := strings.IndexByte(path, ']')
	if end < 0 || path[0] != '[' {
		return "", "", false
	}
	rest = path[end+1:]
	if rest == "." || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return "", "", false
	}
	return path[1:end], strings.TrimPrefix(rest, "."), true
}

// splitAtCommas turns a text into a list.
func splitAtCommas(n *document.Node) []document.Member {
	text := strings.TrimSpace(n.Text)
	if text == "" {
		return nil
	}
	var out []document.Member
	for part := range strings.SplitSeq(text, ",") {
		item := *n
		item.Text = strings.TrimSpace(part)
		out = append(out, document.Member{Line: n.Line, Value: item})
	}
	return out
}
