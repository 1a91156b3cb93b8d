package httpserve

import (
	"net/url"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// MaxParams is the maximum number of parameters of a request.
const MaxParams = 64

// Param is one parameter of a query, a form or a form-like header.
type Param struct{ Name, Value string }

// Params are parameters of different names.
type Params []Param

// ParseParams appends the parameters of an urlencoded form to dst, each decoded
// exactly once. It refuses a name that comes twice, because the code that checks a value
// and the code that uses it could take different ones. Dst may be on the caller's stack.
func ParseParams(dst Params, raw string) (Params, error) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := unescape(name)
		if err != nil {
			return dst, err
		}
		if value, err = unescape(value); err != nil {
			return dst, err
		}
		if err := dst.room(name); err != nil {
			return dst, err
		}
		dst = append(dst, Param{name, value})
	}
	return dst, nil
}

// Find returns the value of a parameter, and whether it is there.
func (params Params) Find(name string) (string, bool) {
	for i := range params {
		if params[i].Name == name {
			return params[i].Value, true
		}
	}
	return "", false
}

// Only refuses parameters that are not all named in known.
func (params Params) Only(known ...string) error {
	for _, p := range params {
		if !slices.Contains(known, p.Name) {
			return UnknownParam(p.Name)
		}
	}
	return nil
}

// UnknownParam refuses a parameter that the route does not have.
func UnknownParam(name string) error {
	return conf.Errorf(conf.ErrInvalid, "parameter %.80q: is not known here (write an & within a value as %%26)", name)
}

// room returns an error if params cannot have one more of that name.
func (params Params) room(name string) error {
	if _, twice := params.Find(name); twice {
		return conf.Errorf(conf.ErrInvalid, "parameter %.80q: given more than once", name)
	}
	if len(params) == MaxParams {
		return conf.Errorf(conf.ErrInvalid, "parameters: more than %d", MaxParams)
	}
	return nil
}

// unescape is url.QueryUnescape, but makes no copy if there is nothing to decode.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	u, err := url.QueryUnescape(s)
	if err != nil {
		return "", errEscape()
	}
	return u, nil
}

func errEscape() error {
	return conf.Errorf(conf.ErrInvalid, "parameters: a %% is not followed by two hexadecimal digits")
}
