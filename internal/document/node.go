// Package document parses the formats in which configurations are written,
// "json", "yaml", "toml" and "properties", into one tree of nodes.
//
// The work and the memory that a document costs are bounded by counts, before
// anything is made of it: see [MaxDepth], [MaxValues] and [MaxKey]. Its errors
// name the line and the rule that was broken, and never hold anything of the
// content: they end up in logs.
package document

// Bounds of a document. A document beyond one of them is refused.
const (
	// MaxDepth is how many lists and mappings may stand within one another. A
	// part of a dotted key counts as one.
	MaxDepth = 64
	// MaxValues is how many values a document may hold; what an alias of YAML
	// stands for counts each time.
	MaxValues = 1 << 20
	// MaxKey is how many bytes a key may have, a dotted one with all its parts.
	MaxKey = 1024
)

// Kind says what a [Node] is.
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
	// Properties is a mapping whose keys are paths, as in "a.b" or "a[0].b",
	// and whose values are Strings. What a path means is for its reader to say.
	Properties
)

// Node is a value of a document.
type Node struct {
	Kind Kind
	// Plain tells that the text stood without quotes in a format (YAML,
	// properties) in which a reader may take it for a string as well.
	Plain   bool
	Line    int32 // from 1; 0: not known
	Column  int32 // in bytes, from 1; 0: not known
	Text    string
	Members []Member
}

// Member is one item of a list or one pair of a mapping.
type Member struct {
	Key   string
	Line  int32 // of the key; 0: not known
	Value Node
}
