// Package document parses the formats of configurations, "json", "yaml", "toml" and
// "properties", into the same tree of nodes.
//
// Limits on counts bound the work and memory for a document before it is decoded: see
// [MaxDepth], [MaxValues] and [MaxKey]. Errors name the line and the violated rule. They never
// quote the content, because they end up in logs.
package document

// The limits of a document. A document that exceeds one is refused.
const (
	// MaxDepth is the largest nesting of lists and mappings. A part of a dotted key
	// counts as one.
	MaxDepth = 64
	// MaxValues is the largest number of values in a document. A YAML alias counts as
	// its expansion each time it is used.
	MaxValues = 1 << 20
	// MaxKey is the largest size of a key in bytes. A dotted key counts with all parts.
	MaxKey = 1024
)

// Kind is the kind of a [Node].
type Kind uint8

// The kinds of nodes.
const (
	Null    Kind = iota
	Bool         // Text is true or false, in YAML also True, TRUE, False or FALSE
	Integer      // Text is the number, see ParseInteger
	Float        // Text is the number, see ParseFloat
	String       // Text is the text
	List         // Members are the items, without keys
	Mapping      // Members are the pairs, in their order; no key appears twice
	// Properties is a mapping whose keys are paths, such as "a.b" or "a[0].b", and whose
	// values are Strings. Its reader interprets the paths.
	Properties
)

// Node is a value of a document.
type Node struct {
	Kind Kind
	// Plain reports that the text had no quotes, in a format (YAML, properties) in which
	// a reader may also take it for a string.
	Plain   bool
	Line    int32 // from 1, or 0 if not known
	Column  int32 // in bytes from 1, or 0 if not known
	Text    string
	Members []Member
}

// Member is one item of a list or one pair of a mapping.
type Member struct {
	Key   string
	Line  int32 // of the key, or 0 if not known
	Value Node
}
