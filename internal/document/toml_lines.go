package document

import (
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// tomlLines gives nodes the lines of their keys. The parser returns no lines, but it returns
// all keys in order, and the scanner has recorded the lines of the same keys.
type tomlLines struct {
	started map[*Node]int // number of items of each list that have begun
}

// setLines sets the lines of root and all below it.
func setLines(root *Node, keys []toml.Key, lines []int32) {
	l := tomlLines{started: make(map[*Node]int)}
	if len(keys) == len(lines) {
		for i, key := range keys {
			l.set(root, key, lines[i])
		}
	}
	inheritLine(root, 1)
}

// set sets the line of the node that key names below n.
func (l *tomlLines) set(n *Node, key toml.Key, line int32) {
	for _, part := range key {
		if n.Kind == List {
			n = l.item(n, part)
		}
		if n == nil {
			return
		}
		m := member(n, part)
		if m == nil {
			return
		}
		if m.Line == 0 {
			m.Line = line
		}
		n = &m.Value
	}
	if n.Kind == List { // of tables, of which the next one begins
		if l.started[n] == len(n.Members) {
			return
		}
		l.started[n]++
		n = &n.Members[l.started[n]-1].Value
	}
	if n.Line == 0 {
		n.Line = line
	}
}

// item returns the item of list in which the next key named part is. It is the last item that
// has begun or, if that item has had its part already, the next one that has keys.
func (l *tomlLines) item(list *Node, part string) *Node {
	begun := l.started[list]
	for i := max(begun-1, 0); i < len(list.Members); i++ {
		item := &list.Members[i].Value
		if m := member(item, part); m != nil && (m.Line == 0 || m.Value.Kind == Mapping || m.Value.Kind == List) {
			l.started[list] = i + 1
			return item
		}
		if i < begun {
			continue
		}
		if len(item.Members) > 0 {
			return nil
		}
		l.started[list] = i + 1 // it has no keys
	}
	return nil
}

// member returns the pair of a sorted mapping with that key, or nil.
func member(n *Node, key string) *Member {
	at, ok := slices.BinarySearchFunc(n.Members, key, func(m Member, key string) int { return strings.Compare(m.Key, key) })
	if n.Kind != Mapping || !ok {
		return nil
	}
	return &n.Members[at]
}

// inheritLine gives nodes without a line the line of their parent.
func inheritLine(n *Node, line int32) {
	if n.Line == 0 {
		n.Line = line
	}
	for i := range n.Members {
		m := &n.Members[i]
		if m.Line == 0 {
			m.Line = n.Line
		}
		inheritLine(&m.Value, m.Line)
	}
}
