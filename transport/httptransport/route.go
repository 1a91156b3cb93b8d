package httptransport

import (
	"net/http"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

type serveFunc = func(w http.ResponseWriter, r *http.Request) outcome

// route is what is done at one path, by method; get serves HEAD too.
type route struct {
	name                string
	open                bool // its requests come in whatever [WithAdmission] says
	get, put, post, del serveFunc
	fail                func(w http.ResponseWriter, err error, status int) outcome
}

// addRoutes makes the table of routes. Routing is by hand: a ServeMux cleans
// paths by redirects, and a key has one spelling only.
func (h *handler) addRoutes() {
	h.routes = make(map[string]*route)
	for _, r := range []*route{
		{name: routeList, get: h.list},
		{name: routeChangesets, post: h.commitSet},
		{name: routeChanges, get: h.changes},
		{name: routeReports, open: true, post: h.report},
		{name: routePosition, open: true, get: h.head},
		{name: routeOpenAPI, open: true, get: h.openAPI},
		{name: routeLegacyRead, get: h.legacyRead, fail: failText},
		{name: routeLegacyPublish, post: h.legacyPublish, fail: failText},
	} {
		if r.fail == nil {
			r.fail = fail
		}
		h.routes[r.name] = r
	}
	h.config = &route{name: routeConfig, get: h.fetch, put: h.publish, del: h.remove, fail: fail}
	h.keyHistory = &route{name: routeHistory, get: h.history, fail: fail}
	h.native = pollWire{route: routePoll, read: h.readPoll, answer: h.sendPoll, fail: fail}
	h.legacy = pollWire{route: routeLegacyPoll, read: h.readLegacyPoll, answer: sendLegacyPoll, fail: failText}
}

// routeOf returns the route of path, nil where there is none.
func (h *handler) routeOf(path string) *route {
	if strings.HasPrefix(path, pathConfigs+"/") {
		return h.config
	}
	if strings.HasPrefix(path, pathHistory+"/") {
		return h.keyHistory
	}
	return h.routes[path]
}

// failureOf returns the name of path's route, and how it answers with an error.
func (h *handler) failureOf(path string) (name string, failed func(http.ResponseWriter, error, int) outcome) {
	switch path {
	case pathPoll:
		return h.native.route, h.native.fail
	case pathLegacyPoll:
		return h.legacy.route, h.legacy.fail
	}
	if route := h.routeOf(path); route != nil {
		return route.name, route.fail
	}
	return routeOther, fail
}

// serve does what r's route says.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) (out outcome) {
	r, body := h.receive(w, r)
	defer body.release(0)
	if len(r.RequestURI) > maxURL {
		w.Header()[hConnection] = valueClose
		out = fail(w, diamond.Errorf(diamond.ErrTooLarge, "url: more than %d bytes", maxURL), http.StatusRequestURITooLong)
		out.route = routeOther
		return out
	}
	route := h.routeOf(r.URL.Path)
	if route == nil {
		out = fail(w, diamond.Errorf(diamond.ErrInvalid, "path: no such route"), http.StatusNotFound)
		out.route = routeOther
		return out
	}
	serve, mutates := route.on(r.Method)
	if serve == nil {
		w.Header()["Allow"] = []string{route.allowed()}
		out = route.fail(w, wrongMethod(r, route.allowed()), http.StatusMethodNotAllowed)
	} else if err := h.guard.check(r, mutates); err != nil {
		out = route.fail(w, err, 0)
	} else if err := h.enter(w, r, route.open); err != nil {
		out = route.fail(w, err, 0)
	} else {
		out = serve(w, r)
	}
	out.route = route.name
	return out
}

// enter lets r in, or returns why not. A body that is not small is then not waited
// for: the connection is closed after the answer.
func (h *handler) enter(w http.ResponseWriter, r *http.Request, open bool) error {
	if open {
		return nil
	}
	err := h.admit(r)
	if err != nil && (r.ContentLength < 0 || r.ContentLength > smallBody) {
		w.Header()[hConnection] = valueClose
	}
	return err
}

// on returns what the route does with method, and whether that changes anything.
func (r *route) on(method string) (serve serveFunc, mutates bool) {
	switch method {
	case http.MethodGet, http.MethodHead:
		return r.get, false
	case http.MethodPost:
		return r.post, true
	case http.MethodPut:
		return r.put, true
	case http.MethodDelete:
		return r.del, true
	}
	return nil, false
}

func (r *route) allowed() string {
	var names []string
	for _, m := range []struct {
		serve serveFunc
		names string
	}{{r.get, "GET, HEAD"}, {r.put, "PUT"}, {r.post, "POST"}, {r.del, "DELETE"}} {
		if m.serve != nil {
			names = append(names, m.names)
		}
	}
	return strings.Join(names, ", ")
}

func wrongMethod(r *http.Request, allowed string) error {
	return diamond.Errorf(diamond.ErrInvalid, "method: %s is not one of %s", clip(r.Method), allowed)
}

// fail answers with an error in the native shape.
func fail(w http.ResponseWriter, err error, status int) outcome {
	return outcome{status: writeError(w, err, status), err: err}
}
