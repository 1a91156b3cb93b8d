package httpserve

import (
	"net/http"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// MaxURL is the maximum number of bytes in the target of a request.
const MaxURL = 8 << 10

// Serve answers a request and returns the outcome.
type Serve = func(w http.ResponseWriter, r *http.Request) Outcome

// Fail answers a request with err, in the form of a protocol. A status other than 0
// replaces the status of the error if HTTP has a more precise one.
type Fail = func(w http.ResponseWriter, err error, status int) Outcome

// Right says in words what the caller of a route must be allowed. The server that answers
// decides about it; the word is for people, and for a test that asks every route as
// everybody.
type Right string

// The rights of routes.
const (
	RightNone     Right = "none"                    // everybody may, whatever the rights are
	RightByServer Right = "decided by the server"   // for the keys, namespaces or scopes that the request names
	RightPeer     Right = "a server of the cluster" // proven by the cluster's secret or certificate
	RightAll      Right = "list on all"             // it shows what concerns everybody
)

// Route serves one path of a protocol. It has Poll, or one function for each method that
// it accepts.
type Route struct {
	Name string // as observations and logs have it
	Path string // one that ends in a slash stands for all paths below it
	Open bool   // Config.Admit is not called
	// Right is what a caller needs. Every route has one.
	Right Right

	Get, Put, Post, Delete Serve // Get serves HEAD too
	Poll                   *Poll
	Fail                   Fail
}

// addRoutes makes the tables of routes. It does not use a ServeMux, which redirects paths
// to a clean form: a key has only one spelling.
func (h *Handler) addRoutes() {
	for _, r := range h.Routes {
		if strings.HasSuffix(r.Path, "/") {
			h.below = append(h.below, r)
		} else {
			h.exact[r.Path] = r
		}
	}
}

// routeOf returns the route of path, or h.none if there is none.
func (h *Handler) routeOf(path string) *Route {
	for _, r := range h.below {
		if strings.HasPrefix(path, r.Path) {
			return r
		}
	}
	if r := h.exact[path]; r != nil {
		return r
	}
	return &h.none
}

// on returns the function of the route for method, and whether it changes anything.
func (r *Route) on(method string) (serve Serve, mutates bool) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return r.Get, false
	case http.MethodPost:
		return r.Post, true
	case http.MethodPut:
		return r.Put, true
	case http.MethodDelete:
		return r.Delete, true
	}
	return nil, false
}

// Methods returns the methods that the route accepts. GET stands for HEAD too.
func (r *Route) Methods() (methods []string) {
	for _, m := range []struct {
		method string
		served bool
	}{
		{http.MethodGet, r.Get != nil}, {http.MethodPut, r.Put != nil},
		{http.MethodPost, r.Post != nil || r.Poll != nil}, {http.MethodDelete, r.Delete != nil},
	} {
		if m.served {
			methods = append(methods, m.method)
		}
	}
	return methods
}

// allowed returns the value of an Allow header.
func (r *Route) allowed() string {
	return strings.Replace(strings.Join(r.Methods(), ", "), http.MethodGet, "GET, HEAD", 1)
}

func wrongMethod(r *http.Request, allowed string) error {
	return conf.Errorf(conf.ErrInvalid, "method: %s is not one of %s", Clip(r.Method), allowed)
}
