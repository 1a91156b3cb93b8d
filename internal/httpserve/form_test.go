package httpserve_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// A form says the same in a query and in a body, whose values have a limit each.
func TestParams(t *testing.T) {
	most := func(name string) (int64, error) {
		if name == "unknown" {
			return 0, httpserve.UnknownParam(name)
		}
		return 8, nil
	}
	// read has a route read form from the body of a request.
	read := func(form string) (params httpserve.Params, err error) {
		h := serve(nil, new([]httpserve.Observation), &httpserve.Route{Name: "/", Path: "/form", Post: func(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
			params, err = httpserve.ReadParams(w, r, 1<<20, most)
			return httpserve.Outcome{Status: http.StatusOK}
		}})
		r := httptest.NewRequest("POST", "http://127.0.0.1/form", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.ServeHTTP(httptest.NewRecorder(), r)
		return params, err
	}
	var many []string
	for i := range httpserve.MaxParams + 1 {
		many = append(many, fmt.Sprintf("n%d=1", i))
	}
	for form, want := range map[string]any{
		"":                          httpserve.Params(nil),
		"a=1&&b=%26+%c3%a9&c":       httpserve.Params{{"a", "1"}, {"b", "& é"}, {"c", ""}},
		"a=1&a=2":                   conf.ErrInvalid,
		"a=%2":                      conf.ErrInvalid,
		"a=%zz":                     conf.ErrInvalid,
		strings.Join(many, "&"):     conf.ErrInvalid,
		strings.Join(many[1:], "&"): len(many) - 1,
	} {
		parsed, parseErr := httpserve.ParseParams(nil, form)
		fromBody, readErr := read(form)
		switch want := want.(type) {
		case error:
			assert.ErrorIs(t, parseErr, want, form)
			assert.ErrorIs(t, readErr, want, form)
		case int:
			assert.Len(t, parsed, want)
			assert.Len(t, fromBody, want)
		default:
			assert.NoError(t, parseErr, form)
			assert.NoError(t, readErr, form)
			assert.Equal(t, want, parsed, form)
			assert.Equal(t, want, fromBody, form)
		}
	}
	for form, want := range map[string]error{"a=123456789": conf.ErrTooLarge, "unknown=1": conf.ErrInvalid} {
		_, err := read(form)
		assert.ErrorIs(t, err, want, form)
	}
}
