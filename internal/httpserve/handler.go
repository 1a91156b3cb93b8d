package httpserve

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/httpguard"
)

// Config configures a [Handler]. All fields except Observe and Identify are required.
type Config struct {
	// Server answers the polls of all protocols.
	Server interface {
		Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error)
	}
	Routes []*Route // of all protocols
	Fail   Fail     // answers a request that has no route

	Log     *slog.Logger
	Observe func(Observation) // is called after each request; may be nil
	// Identify returns who has sent a request, from the proof that it brought. It is called
	// once for each request of a route, before Admit and before the body is read, so it must be
	// quick. If it returns an error, that is the answer: a proof that is not valid is never
	// taken for none. If Identify is nil, everybody is anonymous.
	Identify func(r *http.Request) (conf.Principal, error)
	// Admit returns an error for a request that must be refused before its body is read.
	// It is not called for open routes.
	Admit func(r *http.Request) error
	Hosts httpguard.Hosts // the names by which the server may be asked

	Requests *budget.Budget // of requests under way
	Memory   *budget.Budget // of bytes of bodies, of the values made of them, and of answers
}

// Handler is an [http.Handler] that serves the routes of its Config. It is safe
// for concurrent use and starts nothing.
type Handler struct {
	Config
	guard    guard
	exact    map[string]*Route // by path
	below    []*Route          // whose paths end in a slash
	none     Route             // for requests that have no route
	troubles sync.Map          // of *lograte.Events by trouble
}

// New returns a handler of c, which must not be changed later.
func New(c Config) *Handler {
	h := &Handler{
		Config: c,
		guard:  guard{origin: http.NewCrossOriginProtection(), hosts: c.Hosts},
		exact:  make(map[string]*Route),
		none:   Route{Name: "other", Fail: c.Fail},
	}
	h.addRoutes()
	return h
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	beginRequest(w, r)
	route := h.routeOf(r.URL.Path)
	source := budget.Source(r.RemoteAddr)
	if !h.Requests.Take(source, 1) {
		h.refuse(w, r, route, source) // and ends the connection, so that its deadline need not be cleared
		return
	}
	defer h.Requests.Give(source, 1)
	if route.Poll != nil {
		h.servePoll(w, r, route)
	} else {
		h.serveQuick(w, r, route)
	}
	endAnswer(w, r)
}

// refuse answers a request of a source that has too many under way.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, route *Route, source string) {
	start := h.now(r)
	CloseConnection(w.Header()) // so that the server need not wait for the body
	e := conf.Errorf(conf.ErrOverloaded, "too many requests under way from %s, or from all addresses", source)
	e.RetryAfter = time.Second
	out := route.Fail(w, e, 0)
	out.route = route.Name
	h.record(r, &out, start)
}

// serveQuick serves a request that is not a poll.
func (h *Handler) serveQuick(w http.ResponseWriter, r *http.Request, route *Route) {
	start := h.now(r)
	out := h.serve(w, r, route)
	h.record(r, &out, start)
}

// now returns the time, or the zero time if neither the observer nor the log needs the
// duration of r.
func (h *Handler) now(r *http.Request) (start time.Time) {
	if h.Observe != nil || h.Log.Enabled(r.Context(), slog.LevelDebug) {
		start = time.Now()
	}
	return start
}

// serve calls the function of the route for r.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, route *Route) (out Outcome) {
	r, body := h.receive(w, r)
	defer body.release(0)
	if len(r.RequestURI) > MaxURL {
		CloseConnection(w.Header())
		out = h.none.Fail(w, conf.Errorf(conf.ErrTooLarge, "url: more than %d bytes", MaxURL), http.StatusRequestURITooLong)
		out.route = h.none.Name
		return out
	}
	if route == &h.none {
		out = route.Fail(w, conf.Errorf(conf.ErrInvalid, "path: no such route"), http.StatusNotFound)
		out.route = route.Name
		return out
	}
	serve, mutates := route.on(r.Method)
	if serve == nil {
		w.Header()["Allow"] = []string{route.allowed()}
		out = route.Fail(w, wrongMethod(r, route.allowed()), http.StatusMethodNotAllowed)
	} else if err := h.guard.check(r, mutates); err != nil {
		out = route.Fail(w, err, 0)
	} else if r, err := h.enter(w, r, body, route.Open); err != nil {
		out = route.Fail(w, err, 0)
	} else {
		out = serve(w, r)
	}
	out.route = route.Name
	return out
}

// enter finds out who has sent r, admits it, and returns it with its caller; see [Caller]. If
// it returns an error, the server does not wait for a body that is not small: it closes the
// connection after the answer.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, body *Body, open bool) (*http.Request, error) {
	identified, err := h.identify(r, body)
	if err == nil && !open {
		err = h.Admit(r)
	}
	if err != nil && (r.ContentLength < 0 || r.ContentLength > smallBody) {
		CloseConnection(w.Header())
	}
	return identified, err
}
