package httptransport

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// NewHandler returns the server end: an [http.Handler] that serves srv under
// /v1/ and, for clients of the original diamond, under /diamond-server/. It
// is safe for concurrent use and starts nothing.
//
// Give the [http.Server] a ReadHeaderTimeout, an IdleTimeout and a
// MaxHeaderBytes. The handler itself bounds bodies, and how long they and
// large answers may take; a WriteTimeout is fine too, waits do not suffer from it.
func NewHandler(srv diamond.Server, opts ...HandlerOption) http.Handler {
	h := &handler{
		srv:        srv,
		log:        slog.New(slog.DiscardHandler),
		guard:      guard{origin: http.NewCrossOriginProtection(), names: make(map[string]bool)},
		maxContent: diamond.DefaultMaxContent,
		encoded:    newEncodings(),
	}
	for _, opt := range opts {
		opt(h)
	}
	return h
}

type handler struct {
	srv        diamond.Server
	log        *slog.Logger
	guard      guard
	observe    func(Observation)
	maxContent int64
	encoded    *encodings
	position   atomic.Pointer[positionValue]
}

// outcome is what became of a request.
type outcome struct {
	route    string
	status   int
	bytes    int64
	err      error
	poll     bool
	notified time.Time // when the server learned of the change that ended a wait
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	debug := h.log.Enabled(r.Context(), slog.LevelDebug)
	if h.observe == nil && !debug {
		if out := h.serve(w, r); out.err != nil {
			h.record(r, out, 0, false)
		}
		return
	}
	start := time.Now()
	out := h.serve(w, r)
	h.record(r, out, time.Since(start), debug)
}

// record tells the observer and the log of a request.
func (h *handler) record(r *http.Request, out outcome, took time.Duration, debug bool) {
	if h.observe != nil {
		o := Observation{
			Route: out.route, Method: r.Method, Status: out.status, Bytes: out.bytes,
			Duration: took, Poll: out.poll,
		}
		if !knownMethod(r.Method) {
			o.Method = "other" // a label that peers choose would have no end of values
		}
		if !out.notified.IsZero() {
			o.Notified = time.Since(out.notified)
		}
		h.observe(o)
	}
	level, message := slog.LevelDebug, "request"
	switch {
	case out.err != nil && out.status >= 500:
		level, message = slog.LevelWarn, "request failed"
	case out.err != nil && out.status != http.StatusNotFound:
		level, message = slog.LevelInfo, "request refused"
	case !debug:
		return
	}
	attrs := []slog.Attr{
		slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)), slog.String("address", r.RemoteAddr),
		slog.Int("status", out.status), slog.Int64("bytes", out.bytes), slog.Duration("took", took),
	}
	if out.err != nil {
		attrs = append(attrs, slog.String("error", out.err.Error()))
	}
	h.log.LogAttrs(context.WithoutCancel(r.Context()), level, message, attrs...)
}

func knownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return true
	}
	return false
}

// serve routes by hand: a ServeMux cleans paths by redirects, and a key has
// one spelling only.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) outcome {
	if len(r.RequestURI) > maxURL {
		w.Header()[hConnection] = valueClose
		return h.fail(w, routeOther, diamond.Errorf(diamond.ErrTooLarge, "url: more than %d bytes", maxURL), http.StatusRequestURITooLong)
	}
	switch path := r.URL.Path; path {
	case pathLegacyRead, pathLegacyPublish, pathLegacyPoll:
		return h.serveLegacy(w, r)
	case pathOpenAPI:
		return h.on(w, r, routeOpenAPI, methods{get: h.openAPI})
	case pathConfigs:
		return h.on(w, r, routeList, methods{get: h.list})
	case pathChangesets:
		return h.on(w, r, routeChangesets, methods{post: h.commitSet})
	case pathPoll:
		return h.on(w, r, routePoll, methods{post: h.poll, reads: true})
	case pathChanges:
		return h.on(w, r, routeChanges, methods{get: h.changes})
	case pathReports:
		return h.on(w, r, routeReports, methods{post: h.report})
	case pathPosition:
		return h.on(w, r, routePosition, methods{get: h.head})
	default:
		switch {
		case strings.HasPrefix(path, pathConfigs+"/"):
			return h.on(w, r, routeConfig, methods{get: h.fetch, put: h.publish, del: h.remove})
		case strings.HasPrefix(path, pathHistory+"/"):
			return h.on(w, r, routeHistory, methods{get: h.history})
		}
	}
	return h.fail(w, routeOther, diamond.Errorf(diamond.ErrInvalid, "path: no such route"), http.StatusNotFound)
}

type serveFunc = func(w http.ResponseWriter, r *http.Request) outcome

// methods are what a route does, by method; get serves HEAD too.
type methods struct {
	get, put, post, del serveFunc
	reads               bool // post changes nothing
}

// on serves a route after the checks that all routes share.
func (h *handler) on(w http.ResponseWriter, r *http.Request, route string, m methods) outcome {
	var serve serveFunc
	mutates := true
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		serve, mutates = m.get, false
	case http.MethodPost:
		serve, mutates = m.post, !m.reads
	case http.MethodPut:
		serve = m.put
	case http.MethodDelete:
		serve = m.del
	}
	if serve == nil {
		w.Header()["Allow"] = []string{m.allowed()}
		return h.fail(w, route, diamond.Errorf(diamond.ErrInvalid, "method: %s is not one of %s", clip(r.Method), m.allowed()), http.StatusMethodNotAllowed)
	}
	if err := h.guard.check(r, mutates); err != nil {
		return h.fail(w, route, err, 0)
	}
	out := serve(w, r)
	out.route = route
	return out
}

func (m *methods) allowed() string {
	var names []string
	for _, f := range []struct {
		serve serveFunc
		names string
	}{{m.get, "GET, HEAD"}, {m.put, "PUT"}, {m.post, "POST"}, {m.del, "DELETE"}} {
		if f.serve != nil {
			names = append(names, f.names)
		}
	}
	return strings.Join(names, ", ")
}

// fail answers with an error in the native shape.
func (h *handler) fail(w http.ResponseWriter, route string, err error, status int) outcome {
	return outcome{route: route, status: writeError(w, err, status), err: err}
}

// failWrite is fail for a write: its answer is tied to a position where it
// speaks of the state that a condition met.
func (h *handler) failWrite(w http.ResponseWriter, err error) outcome {
	if _, status := infoOf(err); status == http.StatusNotFound || status == http.StatusConflict {
		h.setPosition(w.Header(), h.srv.Status().Position)
	}
	return h.fail(w, "", err, 0)
}

// caller returns the context for the server: it carries what this end has
// proven of who asks, the peer's address. No header has a say in that.
func (h *handler) caller(r *http.Request) context.Context {
	return diamond.WithCaller(r.Context(), diamond.Caller{Address: r.RemoteAddr})
}

// client returns what the client claims of itself.
func client(r *http.Request) (diamond.ClientInfo, error) {
	values := r.Header[hClient]
	if len(values) == 0 {
		return diamond.ClientInfo{}, nil
	}
	return parseClient(values[0])
}

// positionValue is a position and its written form, which thousands of
// answers share.
type positionValue struct {
	position diamond.Position
	value    []string
}

func (h *handler) setPosition(header http.Header, p diamond.Position) {
	v := h.position.Load()
	if v == nil || v.position != p {
		v = &positionValue{p, []string{p.String()}}
		h.position.Store(v)
	}
	header[hPosition] = v.value
}

func setStale(header http.Header, stale time.Duration) {
	if stale > 0 {
		header[hStale] = []string{stale.String()}
	}
}

// pathKey returns the key that the rest of a path after prefix names. Each
// part is decoded once, and none is empty: an empty one would name another key.
func pathKey(r *http.Request, prefix string) (diamond.Key, error) {
	raw, encoded := r.URL.Path, false
	if r.URL.RawPath != "" {
		raw, encoded = r.URL.RawPath, true
	}
	rest, ok := strings.CutPrefix(raw, prefix+"/")
	parts := strings.SplitN(rest, "/", 4)
	if !ok || len(parts) != 3 {
		return diamond.Key{}, diamond.Errorf(diamond.ErrInvalid, "path: is not %s/namespace/group/dataId", prefix)
	}
	if encoded {
		for i, part := range parts {
			var err error
			if parts[i], err = unescapePath(part); err != nil {
				return diamond.Key{}, err
			}
		}
	}
	for _, part := range parts {
		if part == "" {
			return diamond.Key{}, diamond.Errorf(diamond.ErrInvalid, "path: a part of the key is empty")
		}
	}
	key := diamond.Key{Namespace: parts[0], Group: parts[1], DataID: parts[2]}
	return key, key.Validate()
}

// param readers.

func parseBool(name, value string) (bool, error) {
	switch value {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, diamond.Errorf(diamond.ErrInvalid, "%s: not true or false", name)
}

func parseNumber(name, value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, diamond.Errorf(diamond.ErrInvalid, "%s: not a number of 0 or more", name)
	}
	return n, nil
}

// query calls set with each parameter of r's query; set returns errUnknown
// for those that its route does not have.
func query(r *http.Request, set func(name, value string) error) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	var buf [8]param
	params, err := parseForm(buf[:0], r.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, p := range params {
		if err := set(p.name, p.value); err != nil {
			return err
		}
	}
	return nil
}

func unknownParam(name string) error {
	return diamond.Errorf(diamond.ErrInvalid, "parameter %.80q: this route has none of that name", name)
}
