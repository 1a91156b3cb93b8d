package document

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

func parseTOML(data []byte) (Node, error) {
	s := tomlScanner{data: data, line: 1}
	if err := s.scan(); err != nil {
		return Node{}, err
	}
	var table any
	meta, err := decodeTOML(data, &table)
	if err != nil {
		return Node{}, tomlError(err)
	}
	keys := meta.Keys()
	if len(keys) == 0 {
		return Node{}, nil
	}
	root, err := tomlNode(table, 0)
	if err != nil {
		return Node{}, err
	}
	setLines(&root, keys, s.lines)
	return root, nil
}

// decodeTOML turns panics of the parser into errors.
func decodeTOML(data []byte, into *any) (meta toml.MetaData, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the parser failed")
		}
	}()
	return toml.Decode(string(data), into)
}

// tomlNode turns a value of the parser into a node. It sorts mappings, because the parser
// does not keep their order.
func tomlNode(v any, depth int) (Node, error) {
	if depth > MaxDepth {
		return Node{}, errorf(0, reasonDeep)
	}
	switch v := v.(type) {
	case map[string]any:
		n := Node{Kind: Mapping, Members: make([]Member, 0, len(v))}
		for key, value := range v {
			if len(key) > MaxKey {
				return n, errorf(0, reasonLongKey)
			}
			child, err := tomlNode(value, depth+1)
			if err != nil {
				return n, err
			}
			n.Members = append(n.Members, Member{Key: key, Value: child})
		}
		slices.SortFunc(n.Members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
		return n, nil
	case []map[string]any:
		return tomlList(v, depth)
	case []any:
		return tomlList(v, depth)
	case bool:
		return Node{Kind: Bool, Text: strconv.FormatBool(v)}, nil
	case int64:
		return Node{Kind: Integer, Text: strconv.FormatInt(v, 10)}, nil
	case float64:
		return Node{Kind: Float, Text: formatFloat(v)}, nil
	case time.Time:
		return Node{Kind: String, Text: tomlTime(v)}, nil
	case string:
		return Node{Kind: String, Text: v}, nil
	}
	return Node{}, errorf(0, "a value of a kind that is not known")
}

func tomlList[T any](list []T, depth int) (Node, error) {
	n := Node{Kind: List, Members: make([]Member, 0, len(list))}
	for _, item := range list {
		child, err := tomlNode(item, depth+1)
		if err != nil {
			return n, err
		}
		n.Members = append(n.Members, Member{Value: child})
	}
	return n, nil
}

// tomlTime returns t in RFC 3339, with only the parts that the document has.
func tomlTime(t time.Time) string {
	switch t.Location().String() { // the parser's names for times without an offset
	case "datetime-local":
		return t.Format("2006-01-02T15:04:05.999999999")
	case "date-local":
		return t.Format(time.DateOnly)
	case "time-local":
		return t.Format("15:04:05.999999999")
	}
	return t.Format(time.RFC3339Nano)
}
