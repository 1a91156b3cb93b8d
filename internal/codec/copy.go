package codec

import "reflect"

// Copy returns a deep copy of v, so that decoding into the copy does not change v. Maps,
// slices, arrays, structs, pointers and the values of interfaces are copied. What v refers
// to twice is copied once, so cycles end.
//
// The copy shares with v what [Decode] does not change, or what may not exist twice:
// channels, functions, values of interfaces with methods, pointers to structs without
// exported fields and unmarshal methods (such as *sync.Mutex and *time.Location), and
// pointers in unexported fields. Maps and slices in unexported fields are copied, because
// an unmarshal method may change them in place, as that of a [math/big.Int] does.
func Copy(v any) any {
	if v == nil {
		return nil
	}
	c := copier{made: make(map[reference]reflect.Value)}
	return c.copyOf(reflect.ValueOf(v), false).Interface()
}

// copier copies one value.
type copier struct {
	made map[reference]reflect.Value
}

// reference is a pointer, map or slice of the original.
type reference struct {
	typ    reflect.Type
	to     uintptr
	length int  // of a slice
	hidden bool // see [copier.detach]
}

// copyOf returns a deep copy of v, which can be addressed.
func (c *copier) copyOf(v reflect.Value, hidden bool) reflect.Value {
	fresh := reflect.New(v.Type()).Elem()
	fresh.Set(v)
	c.detach(fresh, hidden)
	return fresh
}

// detach replaces what v refers to by copies. hidden says that v is in an unexported
// field.
func (c *copier) detach(v reflect.Value, hidden bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f, field := v.Field(i), v.Type().Field(i)
			if !field.IsExported() {
				f = reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem() // it can be set
			}
			c.detach(f, hidden || !field.IsExported() && !field.Anonymous)
		}
	case reflect.Array:
		c.detachItems(v, hidden)
	case reflect.Interface:
		if !v.IsNil() && v.NumMethod() == 0 {
			v.Set(c.copyOf(v.Elem(), hidden))
		}
	case reflect.Pointer:
		if v.IsNil() || hidden || isOpaque(v.Type().Elem()) {
			return
		}
		c.once(v, 0, hidden, reflect.New(v.Type().Elem()), func(fresh reflect.Value) {
			fresh.Elem().Set(v.Elem())
			c.detach(fresh.Elem(), hidden)
		})
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		c.once(v, v.Len(), hidden, reflect.MakeSlice(v.Type(), v.Len(), v.Len()), func(fresh reflect.Value) {
			reflect.Copy(fresh, v)
			c.detachItems(fresh, hidden)
		})
	case reflect.Map:
		if v.IsNil() {
			return
		}
		c.once(v, 0, hidden, reflect.MakeMapWithSize(v.Type(), v.Len()), func(fresh reflect.Value) {
			for pairs := v.MapRange(); pairs.Next(); {
				fresh.SetMapIndex(c.copyOf(pairs.Key(), hidden), c.copyOf(pairs.Value(), hidden))
			}
		})
	}
}

// once sets v, which refers to something, to fresh after it was filled, or to the copy
// that was made of the same before.
func (c *copier) once(v reflect.Value, length int, hidden bool, fresh reflect.Value, fill func(fresh reflect.Value)) {
	ref := reference{typ: v.Type(), to: v.Pointer(), length: length, hidden: hidden}
	if had, ok := c.made[ref]; ok {
		v.Set(had)
		return
	}
	c.made[ref] = fresh // fill may meet it again
	fill(fresh)
	v.Set(fresh)
}

// detachItems detaches the items of a slice or an array.
func (c *copier) detachItems(v reflect.Value, hidden bool) {
	if k := v.Type().Elem().Kind(); k <= reflect.Complex128 || k == reflect.String {
		return // they refer to nothing
	}
	for i := range v.Len() {
		c.detach(v.Index(i), hidden)
	}
}

// isOpaque reports whether t is a struct that no decoder can change.
func isOpaque(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() || f.Anonymous {
			return false
		}
	}
	p := reflect.PointerTo(t)
	return !p.Implements(textUnmarshaler) && !p.Implements(jsonUnmarshaler) &&
		!hasMethod(p, "UnmarshalYAML") && !hasMethod(p, "UnmarshalTOML")
}
