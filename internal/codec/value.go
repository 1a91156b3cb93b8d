package codec

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/internal/document"
)

// decoder turns the nodes of one document into Go values.
type decoder struct {
	format  string
	strict  bool
	structs map[reflect.Type]*fields
	path    []string // Go names and indexes of the present value
}

// within runs decode with one more step in the path.
func (d *decoder) within(step string, decode func() error) error {
	d.path = append(d.path, step)
	err := decode()
	d.path = d.path[:len(d.path)-1]
	return err
}

// value sets v to the value of n.
func (d *decoder) value(n *document.Node, v reflect.Value) error {
	if n.Kind == document.Null {
		return d.null(n, v)
	}
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if done, err := d.own(n, v); done {
		return err
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.fields(n, v)
	case reflect.Map:
		return d.pairs(n, v)
	case reflect.Slice, reflect.Array:
		return d.items(n, v)
	case reflect.Interface:
		if v.NumMethod() > 0 {
			return d.misfit(n, v, "")
		}
		free, err := d.free(n)
		if err == nil {
			v.Set(reflect.ValueOf(free))
		}
		return err
	}
	return d.scalar(n, v)
}

// null sets v to nil if it can be nil.
func (d *decoder) null(n *document.Node, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		v.SetZero()
		return nil
	}
	return d.misfit(n, v, "it is null")
}

// fields sets the fields of a struct. A null leaves a field that cannot be nil unchanged.
func (d *decoder) fields(n *document.Node, v reflect.Value) error {
	known, err := d.fieldsOf(v.Type())
	if err != nil {
		return err
	}
	members := n.Members
	switch n.Kind {
	case document.Properties:
		if members, err = d.byField(n, known); err != nil {
			return err
		}
	case document.Mapping:
	default:
		return d.misfit(n, v, "it is no mapping")
	}
	met := make(map[*field]bool, len(known.list))
	for i := range members {
		m := &members[i]
		f := known.find(m.Key)
		if f == nil {
			if d.strict {
				return d.errorf(int(m.Line), 0, reasonUnknown)
			}
			continue
		}
		if met[f] {
			return d.errorf(int(m.Line), 0, "%s: %s", reasonTwice, f.goName)
		}
		met[f] = true
		err := d.within(f.goName, func() error {
			field, err := d.fieldByIndex(v, f.index)
			if err != nil || m.Value.Kind == document.Null && !canBeNil(field) {
				return err
			}
			return d.value(&m.Value, field)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fieldByIndex returns a field, and allocates the embedded structs on the way to it.
func (d *decoder) fieldByIndex(v reflect.Value, index []int) (reflect.Value, error) {
	for i, at := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return v, d.errorf(0, 0, "%s is embedded by a pointer and not exported", v.Type().Elem())
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(at)
	}
	return v, nil
}

func canBeNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	}
	return false
}

// pairs sets the pairs of a map. It merges a pair that exists already.
func (d *decoder) pairs(n *document.Node, v reflect.Value) error {
	members := n.Members
	var err error
	switch n.Kind {
	case document.Properties:
		if members, err = d.byKey(n, v.Type().Elem()); err != nil {
			return err
		}
	case document.Mapping:
	default:
		return d.misfit(n, v, "it is no mapping")
	}
	if free, ok := v.Addr().Interface().(*map[string]any); ok && len(*free) == 0 {
		return d.freePairs(members, free)
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(members)))
	}
	numeric, met := v.Type().Key().Kind() != reflect.String, make(map[any]bool)
	for i := range members {
		m := &members[i]
		err := d.within("[*]", func() error {
			key := reflect.New(v.Type().Key()).Elem()
			if err := d.key(m, key); err != nil {
				return err
			}
			if numeric { // "1" and "0x1" are two keys of a document
				if met[key.Interface()] {
					return d.errorf(int(m.Line), 0, reasonTwice)
				}
				met[key.Interface()] = true
			}
			elem := reflect.New(v.Type().Elem()).Elem()
			if had := v.MapIndex(key); had.IsValid() && merges(had) {
				elem.Set(had)
			}
			if err := d.value(&m.Value, elem); err != nil {
				return err
			}
			v.SetMapIndex(key, elem)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// merges reports whether the present value of v is merged with the document's.
func merges(v reflect.Value) bool {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v.Kind() == reflect.Struct || v.Kind() == reflect.Map
}

// key sets the key of a map. Its kind is string or an integer, or it has UnmarshalText.
func (d *decoder) key(m *document.Member, key reflect.Value) error {
	n := document.Node{Kind: document.String, Plain: true, Line: m.Line, Text: m.Key}
	if text, ok := unmarshalsText(key); ok {
		return d.text(&n, key, text)
	}
	switch key.Kind() {
	case reflect.String:
		key.SetString(m.Key)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return d.scalar(&n, key)
	}
	return d.errorf(int(m.Line), 0, "a map with keys of type %s cannot be decoded into", key.Type())
}

// items replaces a list. An array needs exactly as many items as its length.
func (d *decoder) items(n *document.Node, v reflect.Value) error {
	if done, err := d.bytes(n, v); done {
		return err
	}
	members := n.Members
	switch n.Kind {
	case document.Properties:
		var err error
		if members, err = d.byIndex(n); err != nil {
			return err
		}
	case document.List:
	case document.String:
		if d.format != "properties" {
			return d.misfit(n, v, "it is no list")
		}
		members = splitAtCommas(n)
	default:
		return d.misfit(n, v, "it is no list")
	}
	list := reflect.New(v.Type()).Elem()
	if v.Kind() == reflect.Slice {
		list.Set(reflect.MakeSlice(v.Type(), len(members), len(members)))
	} else if len(members) != v.Len() {
		return d.misfit(n, v, "it has another number of items")
	}
	for i := range members {
		if err := d.within("["+strconv.Itoa(i)+"]", func() error { return d.value(&members[i].Value, list.Index(i)) }); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

// free returns the value for an any: string, bool, int64 (uint64 above its range), float64,
// nil, []any or map[string]any.
func (d *decoder) free(n *document.Node) (any, error) {
	switch n.Kind {
	case document.Bool:
		return strings.EqualFold(n.Text, "true"), nil
	case document.Integer, document.Float:
		return d.freeNumber(n)
	case document.String:
		return n.Text, nil
	case document.List:
		list := make([]any, len(n.Members))
		for i := range n.Members {
			if err := d.within("["+strconv.Itoa(i)+"]", func() (err error) { list[i], err = d.free(&n.Members[i].Value); return err }); err != nil {
				return nil, err
			}
		}
		return list, nil
	case document.Mapping, document.Properties:
		var pairs map[string]any
		err := d.freePairs(n.Members, &pairs)
		return pairs, err
	}
	return nil, nil
}

// freePairs sets into to a new map of the members' values.
func (d *decoder) freePairs(members []document.Member, into *map[string]any) error {
	pairs := make(map[string]any, len(members))
	d.path = append(d.path, "[*]")
	for i := range members {
		value, err := d.free(&members[i].Value)
		if err != nil {
			return err
		}
		pairs[members[i].Key] = value
	}
	d.path = d.path[:len(d.path)-1]
	*into = pairs
	return nil
}
