package httptransport

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/lograte"
)

// NewHandler returns the server end: an [http.Handler] that serves srv under
// /v1/ and, for clients of the original diamond, under /diamond-server/. It
// is safe for concurrent use and starts nothing.
//
// Give the [http.Server] a ReadHeaderTimeout, an IdleTimeout and a
// MaxHeaderBytes. The handler itself bounds bodies, and how long they may take to
// arrive and answers to be read. With a WriteTimeout small reads are cheaper, and
// have that instead; waits do not suffer from it.
func NewHandler(srv diamond.Server, opts ...HandlerOption) http.Handler {
	h := &handler{
		srv:        srv,
		log:        slog.New(slog.DiscardHandler),
		guard:      guard{origin: http.NewCrossOriginProtection()},
		admit:      func(*http.Request) error { return nil },
		maxContent: diamond.DefaultMaxContent,
		encoded:    newEncodings(),
		requests:   budget.New(DefaultRequests, DefaultAddressRequests),
		memory:     budget.New(DefaultMemoryBudget, DefaultAddressMemory),
	}
	for _, opt := range opts {
		opt(h)
	}
	h.addRoutes()
	return h
}

type handler struct {
	srv        diamond.Server
	log        *slog.Logger
	guard      guard
	observe    func(Observation)
	admit      func(r *http.Request) error
	maxContent int64
	encoded    *encodings
	requests   *budget.Budget // requests under way
	memory     *budget.Budget // bytes that bodies take, what is made of them, and answers
	position   atomic.Pointer[positionValue]
	troubles   sync.Map // of *lograte.Events by trouble

	routes         map[string]*route // by path
	config         *route            // of one key
	keyHistory     *route
	native, legacy pollWire
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
	beginRequest(w, r)
	source := budget.Source(r.RemoteAddr)
	if !h.requests.Take(source, 1) {
		h.refuse(w, r, source) // and ends the connection, with its deadline
		return
	}
	defer h.requests.Give(source, 1)
	switch r.URL.Path {
	case pathPoll:
		h.servePoll(w, r, &h.native)
	case pathLegacyPoll:
		h.servePoll(w, r, &h.legacy)
	default:
		h.serveQuick(w, r)
	}
	endAnswer(w, r)
}

// refuse answers a request of a source that has too many under way.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, source string) {
	start := h.now(r)
	w.Header()[hConnection] = valueClose // its body is not waited for
	e := diamond.Errorf(diamond.ErrOverloaded, "%s, or all, have as many requests under way as they may", source)
	e.RetryAfter = time.Second
	name, failed := h.failureOf(r.URL.Path)
	out := failed(w, e, 0)
	out.route = name
	h.record(r, &out, start)
}

// serveQuick serves all that does not wait with thousands of others.
func (h *handler) serveQuick(w http.ResponseWriter, r *http.Request) {
	start := h.now(r)
	out := h.serve(w, r)
	h.record(r, &out, start)
}

// now returns the time, where anybody wants to know how long r takes.
func (h *handler) now(r *http.Request) (start time.Time) {
	if h.observe != nil || h.log.Enabled(r.Context(), slog.LevelDebug) {
		start = time.Now()
	}
	return start
}

// statusGone is what is recorded of a request whose peer did not wait for the
// answer: no failure of anybody's, and no status of HTTP's.
const statusGone = 499

// record tells the observer and the log of a request.
func (h *handler) record(r *http.Request, out *outcome, start time.Time) {
	if start.IsZero() && out.err == nil {
		return
	}
	if out.err != nil && r.Context().Err() != nil {
		out.status = statusGone
	}
	var took time.Duration
	if !start.IsZero() {
		took = time.Since(start)
	}
	if h.observe != nil {
		h.observe(observation(r, out, took))
	}
	h.logRequest(r, out, took)
}

func observation(r *http.Request, out *outcome, took time.Duration) Observation {
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
	return o
}

// trouble is what requests that do not succeed have in common: of each kind one
// a second is logged, and not thousands that all say that the storage is away.
type trouble struct {
	route  string
	status int
}

func (h *handler) logRequest(r *http.Request, out *outcome, took time.Duration) {
	level, message := slog.LevelDebug, "request"
	switch {
	case out.status == statusGone:
		message = "peer has gone"
	case out.err != nil && out.status >= 500:
		level, message = slog.LevelWarn, "request failed"
	case out.err != nil && out.status != http.StatusNotFound:
		level, message = slog.LevelInfo, "request refused"
	}
	var others int64 // of its kind, that were not logged before it
	if level > slog.LevelDebug {
		events, _ := h.troubles.LoadOrStore(trouble{out.route, out.status}, new(lograte.Events))
		var now bool
		if others, now = events.(*lograte.Events).Log(); !now {
			level = slog.LevelDebug
		}
	}
	ctx := context.WithoutCancel(r.Context())
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)), slog.String("address", r.RemoteAddr),
		slog.Int("status", out.status), slog.Int64("bytes", out.bytes), slog.Duration("took", took),
	}
	if out.err != nil {
		attrs = append(attrs, slog.String("error", out.err.Error()), slog.Int64("others", others))
	}
	h.log.LogAttrs(ctx, level, message, attrs...)
}

func knownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT":
		return true
	}
	return false
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
