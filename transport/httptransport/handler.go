package httptransport

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/original"
)

// NewHandler returns the server end: an [http.Handler] that serves srv under
// /v1/ and, for clients of the original diamond, under /diamond-server/. It
// is safe for concurrent use and starts nothing.
//
// Give the [http.Server] a ReadHeaderTimeout, an IdleTimeout and a MaxHeaderBytes. The
// handler itself limits the size of bodies, the time that they take to arrive, and the time
// that peers take to read answers. If the server has a WriteTimeout, it is the limit for
// small reads, which are then cheaper. It does not limit waits.
func NewHandler(srv diamond.Server, opts ...HandlerOption) http.Handler {
	s := defaultSettings()
	for _, opt := range opts {
		opt(s)
	}
	h := &handler{srv: srv, maxContent: s.maxContent, memory: s.Memory, encoded: httpserve.NewEntryCache(encode)}
	if h.monitor = s.monitor; h.monitor == nil {
		h.monitor, _ = srv.(Monitor)
	}
	s.Server, s.Fail = srv, fail
	if prover, ok := srv.(Prover); ok && s.Identify == nil {
		s.Identify = proofs(prover)
	}
	s.Routes = append(h.routes(), original.Routes(srv, s.maxContent, s.Memory)...)
	return httpserve.New(s.Config)
}

// handler is the server end of the native protocol.
type handler struct {
	srv        diamond.Server
	monitor    Monitor // or nil
	maxContent int64
	memory     *budget.Budget // of bytes of bodies and answers
	encoded    *httpserve.EntryCache[encoded]
	position   atomic.Pointer[positionValue]
}

// routes returns the routes of the native protocol.
func (h *handler) routes() []*httpserve.Route {
	return []*httpserve.Route{
		{Name: routeConfig, Right: httpserve.RightByServer, Path: pathConfigs + "/", Get: h.fetch, Put: h.publish, Delete: h.remove, Fail: fail},
		{Name: routeHistory, Right: httpserve.RightByServer, Path: pathHistory + "/", Get: h.history, Fail: fail},
		{Name: pathConfigs, Right: httpserve.RightByServer, Path: pathConfigs, Get: h.list, Fail: fail},
		{Name: pathChangesets, Right: httpserve.RightByServer, Path: pathChangesets, Post: h.commitSet, Fail: fail},
		{Name: pathPoll, Right: httpserve.RightByServer, Path: pathPoll, Poll: &httpserve.Poll{Read: h.readPoll, Answer: h.sendPoll}, Fail: fail},
		{Name: pathChanges, Right: httpserve.RightByServer, Path: pathChanges, Get: h.changes, Fail: fail},
		{Name: pathReports, Right: httpserve.RightByServer, Path: pathReports, Open: true, Post: h.report, Fail: fail},
		{Name: routeListeners, Right: httpserve.RightByServer, Path: pathListeners + "/", Get: h.listeners, Fail: fail},
		{Name: pathClients, Right: httpserve.RightByServer, Path: pathClients, Get: h.clients, Fail: fail},
		{Name: pathPosition, Right: httpserve.RightNone, Path: pathPosition, Open: true, Get: h.head, Fail: fail},
		{Name: pathWhoAmI, Right: httpserve.RightNone, Path: pathWhoAmI, Get: h.whoAmI, Fail: fail},
		{Name: pathCan, Right: httpserve.RightByServer, Path: pathCan, Get: h.can, Fail: fail},
		{Name: pathOpenAPI, Right: httpserve.RightNone, Path: pathOpenAPI, Open: true, Get: h.openAPI, Fail: fail},
	}
}

// The names of the routes that serve one key. The name of any other route is its path.
const (
	routeConfig    = pathConfigs + "/{key}"
	routeHistory   = pathHistory + "/{key}"
	routeListeners = pathListeners + "/{key}"
)

// client returns the description that the client gives of itself.
func client(r *http.Request) (conf.ClientInfo, error) {
	values := r.Header[hClient]
	if len(values) == 0 {
		return conf.ClientInfo{}, nil
	}
	return parseClient(values[0])
}

// seen returns the newest position that the client has seen, or the zero position if it
// names none.
func seen(r *http.Request) (conf.Position, error) {
	text, err := oneHeader(r, hSeen)
	if err != nil || text == "" {
		return conf.Position{}, err
	}
	return conf.ParsePosition(text)
}

// oneHeader returns the value of a header that may be given at most once, or "" if it is not given.
func oneHeader(r *http.Request, name string) (string, error) {
	switch values := r.Header[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", conf.Errorf(conf.ErrInvalid, "%s: given more than once", strings.ToLower(name))
}

// positionValue is a position with its written form, which thousands of answers share.
type positionValue struct {
	position conf.Position
	value    []string
}

func (h *handler) setPosition(header http.Header, p conf.Position) {
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
