package httptransport

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// encodePairs returns m as a form, sorted by name, for parsePairs.
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
	params, err := httpserve.ParseParams(nil, raw)
	if err != nil || len(params) == 0 {
		return nil, err
	}
	m := make(map[string]string, len(params))
	for _, p := range params {
		m[p.Name] = p.Value
	}
	return m, nil
}

// labelPrefix marks labels among the fields of a client's header.
const labelPrefix = "label."

func encodeClient(c conf.ClientInfo) string {
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

func parseClient(raw string) (c conf.ClientInfo, err error) {
	var buf [8]httpserve.Param
	params, err := httpserve.ParseParams(buf[:0], raw)
	if err != nil {
		return c, err
	}
	for _, p := range params {
		switch label, isLabel := strings.CutPrefix(p.Name, labelPrefix); {
		case isLabel:
			if c.Labels == nil {
				c.Labels = make(map[string]string)
			}
			c.Labels[label] = p.Value
		case p.Name == "id":
			c.ID = p.Value
		case p.Name == "app":
			c.App = p.Value
		case p.Name == "version":
			c.Version = p.Value
		} // unknown fields are those of newer clients
	}
	return c, c.Validate()
}
