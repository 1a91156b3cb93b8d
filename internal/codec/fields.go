package codec

import (
	"reflect"
	"slices"
	"strings"
)

// field is a field of a struct or of an embedded struct.
type field struct {
	goName string
	name   string // in the document
	index  []int
}

// fields are the fields of a struct that a document can name.
type fields struct {
	list   []field
	exact  map[string]int
	folded map[string]int // by name in lower case
	most   int            // bytes of the longest name
}

// find returns the field with that name, or nil. An exact match takes precedence over one
// that ignores case.
func (f *fields) find(name string) *field {
	if at, ok := f.exact[name]; ok {
		return &f.list[at]
	}
	if at, ok := f.folded[strings.ToLower(name)]; ok {
		return &f.list[at]
	}
	return nil
}

// fieldsOf returns the fields of a struct.
func (d *decoder) fieldsOf(t reflect.Type) (*fields, error) {
	if known := d.structs[t]; known != nil {
		return known, nil
	}
	out := &fields{exact: make(map[string]int), folded: make(map[string]int)}
	if err := d.collect(out, t, nil); err != nil {
		return nil, err
	}
	d.structs[t] = out
	return out, nil
}

// collect adds the fields of t, and then those of its embedded structs. As in Go, the
// shallowest field of a name counts.
func (d *decoder) collect(out *fields, t reflect.Type, index []int) error {
	const tooDeep = 16 // a struct can embed itself by pointers
	if len(index) > tooDeep {
		return nil
	}
	var embedded []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		name, inline := d.nameOf(f)
		switch {
		case name == "-":
		case inline && !f.Anonymous && !f.IsExported():
			return d.errorf(0, 0, "%s.%s is inline and not exported", t, f.Name)
		case inline:
			embedded = append(embedded, f)
		case f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct && embedsStruct(f.Type):
			at := append(append([]int{}, index...), i)
			if err := out.add(field{goName: f.Name, name: name, index: at}, t); err != nil {
				return err
			}
		}
	}
	for _, f := range embedded {
		of := f.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return d.errorf(0, 0, "%s.%s is inline and not a struct", t, f.Name)
		}
		if err := d.collect(out, of, append(append([]int{}, index...), f.Index...)); err != nil {
			return err
		}
	}
	return nil
}

// add adds a field, unless a shallower one has its name.
func (f *fields) add(x field, t reflect.Type) error {
	if at, ok := f.exact[x.name]; ok {
		had := f.list[at]
		switch {
		case len(had.index) == len(x.index):
			return fail(0, "the fields %s and %s of %s have one name", had.goName, x.goName, t)
		case len(had.index) > len(x.index):
			f.list[at] = x
		}
		return nil
	}
	f.exact[x.name] = len(f.list)
	if _, ok := f.folded[strings.ToLower(x.name)]; !ok {
		f.folded[strings.ToLower(x.name)] = len(f.list)
	}
	f.list = append(f.list, x)
	f.most = max(f.most, len(x.name))
	return nil
}

// nameOf returns the name of f in documents: the name in the tag of the format, or else in
// the first tag of another format that has one, or else the Go name. inline reports that the
// fields of f belong to the surrounding struct, because f is embedded or has YAML's option
// of that name.
func (d *decoder) nameOf(f reflect.StructField) (name string, inline bool) {
	for _, format := range []string{d.format, "json", "yaml", "toml", "properties"} {
		tag, options, _ := strings.Cut(f.Tag.Get(format), ",")
		inline = inline || format == "yaml" && slices.Contains(strings.Split(options, ","), "inline")
		if name == "" {
			name = tag
		}
	}
	if name == "" && f.Anonymous && embedsStruct(f.Type) {
		inline = true
	}
	if name == "" {
		name = f.Name
	}
	return name, inline
}

// embedsStruct reports whether t is a struct, or a pointer to one, without an unmarshal
// method.
func embedsStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p := reflect.PointerTo(t)
	return t.Kind() == reflect.Struct && !p.Implements(textUnmarshaler) && !p.Implements(jsonUnmarshaler)
}
