package httptransport

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// pathKey returns the key that a path names after prefix. Each part is decoded once,
// and none may be empty: an empty one would name another key.
func pathKey(r *http.Request, prefix string) (conf.Key, error) {
	raw, encoded := r.URL.Path, false
	if r.URL.RawPath != "" {
		raw, encoded = r.URL.RawPath, true
	}
	rest, ok := strings.CutPrefix(raw, prefix+"/")
	parts := strings.SplitN(rest, "/", 4)
	if !ok || len(parts) != 3 {
		return conf.Key{}, conf.Errorf(conf.ErrInvalid, "path: is not %s/namespace/group/dataId", prefix)
	}
	if encoded {
		for i, part := range parts {
			var err error
			if parts[i], err = unescapePath(part); err != nil {
				return conf.Key{}, err
			}
		}
	}
	for _, part := range parts {
		if part == "" {
			return conf.Key{}, conf.Errorf(conf.ErrInvalid, "path: a part of the key is empty")
		}
	}
	key := conf.Key{Namespace: parts[0], Group: parts[1], DataID: parts[2]}
	return key, key.Validate()
}

// unescapePath decodes one part of a path.
func unescapePath(s string) (string, error) {
	u, err := url.PathUnescape(s)
	if err != nil {
		return "", conf.Errorf(conf.ErrInvalid, "path: a %% is not followed by two hexadecimal digits")
	}
	return u, nil
}

func parseBool(name, value string) (bool, error) {
	switch value {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, conf.Errorf(conf.ErrInvalid, "%s: not true or false", name)
}

func parseNumber(name, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, conf.Errorf(conf.ErrInvalid, "%s: not a number of 0 or more", name)
	}
	return n, nil
}

// query calls set for each parameter of r's query. Set returns an error for a parameter
// that the route does not have.
func query(r *http.Request, set func(name, value string) error) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	var buf [8]httpserve.Param
	params, err := httpserve.ParseParams(buf[:0], r.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, p := range params {
		if err := set(p.Name, p.Value); err != nil {
			return err
		}
	}
	return nil
}
