package document

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxAliased is the largest text that the aliases of a document expand to, in bytes.
const maxAliased = 64 << 20

func parseYAML(data []byte) (Node, error) {
	if err := countYAML(data); err != nil {
		return Node{}, err
	}
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err == io.EOF {
		return Node{}, nil
	} else if err != nil {
		return Node{}, yamlError(data, err)
	}
	if err := dec.Decode(&second); err == nil {
		return Node{}, errorf(second.Line, "more than one document")
	} else if err != io.EOF {
		return Node{}, yamlError(data, err)
	}
	c := &yamlConverter{done: make(map[*yaml.Node]measured)}
	root, err := c.node(doc.Content[0], 0)
	return root.Node, err
}

// countYAML refuses data that may have more than MaxValues values, because the parser keeps
// all of them. It counts the characters that can precede a value, also within texts.
func countYAML(data []byte) error {
	flow := false // brackets and commas count after the first bracket
	signs := 0
	for i, c := range data {
		switch c {
		case '[', '{':
			flow = true
			signs++
		case ',':
			if flow {
				signs++
			}
		case ':', '-', '?':
			if flow && c == ':' || i+1 == len(data) || strings.IndexByte(" \t\r\n", data[i+1]) >= 0 {
				signs++
			}
		}
		if signs > MaxValues {
			return errorf(1+bytes.Count(data[:i], []byte("\n")), reasonMany)
		}
	}
	return nil
}

// measured is a node with its size, aliases expanded.
type measured struct {
	Node
	values int
	text   int // bytes
	depth  int // nesting of lists and mappings
}

// yamlConverter converts the nodes of the YAML parser. Aliases share the converted node of
// their anchor.
type yamlConverter struct {
	done            map[*yaml.Node]measured // nodes with an anchor; one without a Kind is being converted
	values, aliased int
}

// node converts n, which is nested in depth lists and mappings.
func (c *yamlConverter) node(n *yaml.Node, depth int) (measured, error) {
	if n.Kind == yaml.AliasNode {
		return c.alias(n, depth)
	}
	if c.values++; c.values > MaxValues {
		return measured{}, errorf(n.Line, reasonMany)
	}
	if n.Anchor != "" {
		c.done[n] = measured{}
	}
	out := measured{Node: Node{Line: int32(n.Line), Column: int32(n.Column)}, values: 1, text: len(n.Value)}
	var err error
	switch n.Kind {
	case yaml.ScalarNode:
		err = scalar(n, &out.Node)
	case yaml.SequenceNode:
		err = c.list(n, &out, depth)
	case yaml.MappingNode:
		err = c.mapping(n, &out, depth)
	}
	if err == nil && n.Anchor != "" {
		c.done[n] = out
	}
	return out, err
}

// alias returns the node that n refers to, and counts it.
func (c *yamlConverter) alias(n *yaml.Node, depth int) (measured, error) {
	out := c.done[n.Alias]
	if out.values == 0 {
		return out, errorf(n.Line, "an alias stands within what it stands for")
	}
	c.values += out.values
	c.aliased += out.text
	switch {
	case c.values > MaxValues || c.aliased > maxAliased:
		return out, errorf(n.Line, "its aliases stand for too much")
	case depth+out.depth > MaxDepth:
		return out, errorf(n.Line, reasonDeep)
	}
	out.Line, out.Column = int32(n.Line), int32(n.Column)
	return out, nil
}

func (c *yamlConverter) list(n *yaml.Node, out *measured, depth int) error {
	if !isTag(n, "!!seq") {
		return errorf(n.Line, reasonTag)
	}
	if depth == MaxDepth {
		return errorf(n.Line, reasonDeep)
	}
	out.Kind, out.depth, out.Members = List, 1, make([]Member, 0, len(n.Content))
	for _, item := range n.Content {
		value, err := c.node(item, depth+1)
		if err != nil {
			return err
		}
		out.count(value)
		out.Members = append(out.Members, Member{Value: value.Node})
	}
	return nil
}

func (c *yamlConverter) mapping(n *yaml.Node, out *measured, depth int) error {
	if !isTag(n, "!!map") {
		return errorf(n.Line, reasonTag)
	}
	if depth == MaxDepth {
		return errorf(n.Line, reasonDeep)
	}
	out.Kind, out.depth = Mapping, 1
	all := members{list: make([]Member, 0, len(n.Content)/2)}
	var merged []Member
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		value, err := c.node(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		out.count(value)
		if key.ShortTag() == "!!merge" {
			if merged != nil {
				return errorf(key.Line, reasonTwice)
			}
			if merged, err = mergeable(&value.Node); err != nil {
				return err
			}
			continue
		}
		text, err := keyText(key)
		if err != nil {
			return err
		}
		if key.Anchor != "" { // an alias may refer to it
			if _, err := c.node(key, depth+1); err != nil {
				return err
			}
		}
		if err := all.add(Member{Key: text, Line: int32(key.Line), Value: value.Node}); err != nil {
			return err
		}
	}
	for i := range merged {
		if !all.has(merged[i].Key) { // the mapping's own keys take precedence, then those merged first
			if err := all.add(merged[i]); err != nil {
				return err
			}
		}
	}
	out.Members = all.list
	return nil
}

// count adds the size of a member.
func (m *measured) count(member measured) {
	m.values += member.values
	m.text += member.text
	m.depth = max(m.depth, 1+member.depth)
}

// mergeable returns the members of the mapping, or of the list of mappings, at a merge key
// (<<).
func mergeable(n *Node) ([]Member, error) {
	switch n.Kind {
	case Mapping:
		return append([]Member{}, n.Members...), nil
	case List:
		out := []Member{}
		for i := range n.Members {
			if n.Members[i].Value.Kind != Mapping {
				return nil, errorf(int(n.Line), reasonMerge)
			}
			out = append(out, n.Members[i].Value.Members...)
		}
		return out, nil
	}
	return nil, errorf(int(n.Line), reasonMerge)
}

const (
	reasonTag   = "a tag that is not known"
	reasonOfTag = "a value that is not of its tag"
	reasonSpace = "a space that is not the plain one (a non-breaking or a full-width space)"
	reasonMerge = "what is merged (<<) is not a mapping"
)

// keyText returns the text of a key, as it is written.
func keyText(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return "", errorf(n.Line, "a key is not a text or a number")
	}
	if n.Style == 0 && strings.TrimSpace(n.Value) != n.Value {
		return "", errorf(n.Line, reasonSpace)
	}
	return n.Value, nil
}

// isTag reports whether a list or mapping has no tag or that of its kind.
func isTag(n *yaml.Node, tag string) bool { return n.Tag == "" || n.Tag == "!" || n.ShortTag() == tag }

// scalar sets the kind and the text of a scalar.
func scalar(n *yaml.Node, out *Node) error {
	quoted := n.Style & (yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle)
	out.Text = n.Value
	out.Plain = quoted == 0 && n.Style&yaml.TaggedStyle == 0
	switch n.ShortTag() {
	case "!!null":
		out.Kind, out.Text = Null, ""
		if !slices.Contains([]string{"", "~", "null", "Null", "NULL"}, n.Value) {
			return errorf(n.Line, reasonOfTag)
		}
	case "!!bool":
		out.Kind = Bool
		if !slices.Contains([]string{"true", "True", "TRUE", "false", "False", "FALSE"}, n.Value) {
			return errorf(n.Line, reasonOfTag)
		}
	case "!!int", "!!float":
		out.Kind = Float
		if integerGrammar.MatchString(n.Value) {
			out.Kind = Integer
		}
	case "!!str", "!!timestamp", "!!merge":
		out.Kind = String
	case "!!binary": // base64, over several lines at times
		out.Kind, out.Text = String, strings.Join(strings.Fields(n.Value), "")
	default:
		return errorf(n.Line, reasonTag)
	}
	return nil
}
