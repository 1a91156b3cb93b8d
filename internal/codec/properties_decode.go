package codec

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decodeProperties sets v, a struct or a map[string]string, from properties.
// A field takes the property named in its `properties` tag, or else of its
// own name, upper or lower case; "a.b" is field b of the struct a. A map takes
// all that begins with its name. Of a property that appears twice the last counts.
func decodeProperties(data []byte, v reflect.Value, strict bool) error {
	properties, err := parseProperties(data)
	if err != nil {
		return err
	}
	for _, p := range properties {
		known, err := setProperty(v, p.key, p.value)
		switch {
		case err != nil:
			return errorf(p.line, "%s", err.Error())
		case !known && strict:
			return errorf(p.line, reasonUnknownField)
		}
	}
	return nil
}

// setProperty sets what path names within v. It reports whether there is such a thing.
func setProperty(v reflect.Value, path, value string) (known bool, err error) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	switch {
	case path == "":
		return true, setScalar(v, value)
	case v.Kind() == reflect.Struct:
		return setField(v, path, value)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := setScalar(elem, value); err != nil {
			return true, err
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(path).Convert(v.Type().Key()), elem)
		return true, nil
	}
	return false, nil
}

// setField finds the field with the longest name that path begins with, so
// that a tag may hold dots.
func setField(v reflect.Value, path, value string) (known bool, err error) {
	best, bestName := -1, ""
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("properties"), ",")
		if name == "" {
			name = field.Name
		}
		if !field.IsExported() || name == "-" || len(name) < len(bestName) {
			continue
		}
		if strings.EqualFold(name, path) || (len(path) > len(name) && path[len(name)] == '.' && strings.EqualFold(name, path[:len(name)])) {
			best, bestName = i, name
		}
	}
	if best < 0 {
		return false, nil
	}
	return setProperty(v.Field(best), strings.TrimPrefix(path[len(bestName):], "."), value)
}

// setScalar sets v from text. Its errors name the Go type alone.
func setScalar(v reflect.Value, text string) error {
	misfit := errorf(0, "%s: it is of type %s", reasonMisfit, v.Type())
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if u.UnmarshalText([]byte(text)) != nil {
			return misfit
		}
		return nil
	}
	trimmed := strings.TrimSpace(text)
	var err error
	switch v.Kind() {
	case reflect.Interface:
		if v.NumMethod() > 0 {
			return misfit
		}
		v.Set(reflect.ValueOf(text))
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(trimmed)
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v.Type() == reflect.TypeFor[time.Duration]() {
			var d time.Duration
			d, err = time.ParseDuration(trimmed)
			v.SetInt(int64(d))
			break
		}
		var n int64
		n, err = strconv.ParseInt(trimmed, 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(trimmed, 10, v.Type().Bits())
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(trimmed, v.Type().Bits())
		v.SetFloat(f)
	case reflect.Slice:
		return setList(v, trimmed)
	default:
		return misfit
	}
	if err != nil {
		return misfit
	}
	return nil
}

// setList sets a slice from text split at commas.
func setList(v reflect.Value, text string) error {
	var parts []string
	if text != "" {
		parts = strings.Split(text, ",")
	}
	list := reflect.MakeSlice(v.Type(), len(parts), len(parts))
	for i, part := range parts {
		if err := setScalar(list.Index(i), strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}
