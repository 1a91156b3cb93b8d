package httptransport

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// maxParams is how many parameters a request may have.
const maxParams = 64

// param is one parameter of a query, a form or a form-like header.
type param struct{ name, value string }

// parseForm appends the parameters of an urlencoded form to dst, each decoded
// exactly once. A name that comes twice is refused: who checks it and who uses
// it could take different ones. dst may be on the caller's stack.
func parseForm(dst []param, raw string) ([]param, error) {
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
		if err := room(dst, name); err != nil {
			return dst, err
		}
		dst = append(dst, param{name, value})
	}
	return dst, nil
}

// room reports why params cannot have one more of that name; nil: they can.
func room(params []param, name string) error {
	if _, twice := find(params, name); twice {
		return diamond.Errorf(diamond.ErrInvalid, "parameter %.80q: given more than once", name)
	}
	if len(params) == maxParams {
		return diamond.Errorf(diamond.ErrInvalid, "parameters: more than %d", maxParams)
	}
	return nil
}

// unescape is url.QueryUnescape without a copy where there is nothing to do.
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
	return diamond.Errorf(diamond.ErrInvalid, "parameters: a %% is not followed by two hexadecimal digits")
}

// unescapePath decodes one part of a path.
func unescapePath(s string) (string, error) {
	u, err := url.PathUnescape(s)
	if err != nil {
		return "", diamond.Errorf(diamond.ErrInvalid, "path: a %% is not followed by two hexadecimal digits")
	}
	return u, nil
}

func find(params []param, name string) (string, bool) {
	for i := range params {
		if params[i].name == name {
			return params[i].value, true
		}
	}
	return "", false
}

// encodePairs writes m as a form, in order of its names: what parsePairs reads.
func encodePairs(m map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(m[name]))
	}
	return b.String()
}

func parsePairs(raw string) (map[string]string, error) {
	params, err := parseForm(nil, raw)
	if err != nil || len(params) == 0 {
		return nil, err
	}
	m := make(map[string]string, len(params))
	for _, p := range params {
		m[p.name] = p.value
	}
	return m, nil
}

// labelPrefix marks labels among the fields of a client's header.
const labelPrefix = "label."

func encodeClient(c diamond.ClientInfo) string {
	m := make(map[string]string, 3+len(c.Labels))
	for name, value := range map[string]string{"id": c.ID, "app": c.App, "version": c.Version} {
		if value != "" {
			m[name] = value
		}
	}
	for name, value := range c.Labels {
		m[labelPrefix+name] = value
	}
	return encodePairs(m)
}

func parseClient(raw string) (c diamond.ClientInfo, err error) {
	var buf [8]param
	params, err := parseForm(buf[:0], raw)
	if err != nil {
		return c, err
	}
	for _, p := range params {
		switch label, isLabel := strings.CutPrefix(p.name, labelPrefix); {
		case isLabel:
			if c.Labels == nil {
				c.Labels = make(map[string]string)
			}
			c.Labels[label] = p.value
		case p.name == "id":
			c.ID = p.value
		case p.name == "app":
			c.App = p.value
		case p.name == "version":
			c.Version = p.value
		} // a newer client's fields are no fault
	}
	return c, c.Validate()
}
