package server

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpguard"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// maxNudge is the maximum size of the body of a nudge or a query in bytes.
const maxNudge = 4 << 10

// nudgeHandler receives the nudges of peers. If there is a secret, a peer proves that it
// knows the secret. Without one, a peer has shown a certificate, or is a server on this
// machine. The handler never answers with more than the node's id.
type nudgeHandler struct {
	peers         *peers
	verifier      *cluster.Verifier // nil without a secret
	authenticated bool              // requests come in at the peers' listener: each peer has shown a certificate
	hosts         httpguard.Hosts   // allows only the hosts that are always allowed
	origin        *http.CrossOriginProtection
	observe       func(httptransport.Observation)
	refusals      lograte.Events
}

func newNudgeHandler(p *peers, authenticated bool, observe func(httptransport.Observation)) *nudgeHandler {
	n := &nudgeHandler{peers: p, authenticated: authenticated, origin: http.NewCrossOriginProtection(), observe: observe}
	if !p.secret.IsZero() {
		n.verifier = cluster.NewVerifier(p.secret)
	}
	return n
}

// ServeHTTP implements http.Handler.
func (n *nudgeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	// Connections of tests may have no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(begun.Add(arrivalTimeout))
	at, err := n.read(w, r)
	n.peers.counts.received(err)
	status := http.StatusNoContent
	if err == nil {
		n.peers.srv.Nudge(at)
		w.Header().Set(headerNode, n.peers.id)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
	} else {
		n.log(r, err)
		status = writeError(w, err)
	}
	n.observe(httptransport.Observation{Route: pathNudge, Method: methodOf(r), Status: status, Duration: time.Since(begun)})
}

// errMethod is the error of a request that is not POST.
var errMethod = conf.Errorf(conf.ErrInvalid, "method: this path accepts only POST")

// read returns the position of a nudge by a peer.
func (n *nudgeHandler) read(w http.ResponseWriter, r *http.Request) (conf.Position, error) {
	body, err := n.receive(w, r)
	if err != nil {
		return conf.Position{}, err
	}
	var msg nudge
	if json.Unmarshal(body, &msg) != nil {
		return conf.Position{}, conf.Errorf(conf.ErrInvalid, "body: not the JSON of a nudge")
	}
	return conf.ParsePosition(msg.Position)
}

// receive returns the body of a request by a peer.
func (n *nudgeHandler) receive(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, errMethod
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNudge))
	if err != nil {
		w.Header().Set("Connection", "close")
		if errors.As(err, new(*http.MaxBytesError)) {
			return nil, conf.Errorf(conf.ErrTooLarge, "body: more than %d bytes", maxNudge)
		}
		return nil, conf.Errorf(conf.ErrInvalid, "body: did not arrive")
	}
	return body, n.admit(w, r, body)
}

// admit refuses requests of others than peers. Errors wrap ErrDenied or ErrOverloaded.
func (n *nudgeHandler) admit(w http.ResponseWriter, r *http.Request, body []byte) error {
	switch {
	case n.origin.Check(r) != nil:
		return conf.Errorf(conf.ErrDenied, "request comes from a web page of another origin")
	case n.verifier != nil:
		return n.verifier.Verify(w.Header(), r, body) // no web page can sign, so the host need not be checked
	case n.authenticated:
		return nil // TLS has verified it
	case !httpguard.FromThisMachine(r):
		return conf.Errorf(conf.ErrDenied, "without a cluster secret only servers on this machine are peers")
	case !n.hosts.Allow(r.Host):
		return conf.Errorf(conf.ErrDenied, "host: %+.100q is not an IP address or localhost", r.Host)
	}
	return nil
}

// log logs at most one refusal a second, because anyone who can reach the node can cause
// them. A nudge without a signature is logged at debug level: a peer sends one before it
// has learned what to sign.
func (n *nudgeHandler) log(r *http.Request, err error) {
	level := slog.LevelInfo
	if n.verifier != nil && errors.Is(err, conf.ErrDenied) && !cluster.Signed(r) {
		level = slog.LevelDebug
	}
	if !n.peers.logger.Enabled(r.Context(), level) {
		return
	}
	if others, ok := n.refusals.Log(); ok {
		n.peers.logger.Log(r.Context(), level, "request of a peer refused", "address", r.RemoteAddr, "error", err, "others", others)
	}
}

// methodOf returns the method of r as the value of a label, which peers must not choose.
func methodOf(r *http.Request) string {
	if r.Method == http.MethodPost || r.Method == http.MethodGet {
		return r.Method
	}
	return "other"
}

// errorBody is the form of errors that docs/http-api.md specifies.
type errorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message,omitempty"`
	} `json:"error"`
}

// writeError answers with err and returns the status.
func writeError(w http.ResponseWriter, err error) int {
	var body errorBody
	var e *conf.Error
	code, status := transport.Encode(err)
	body.Error.Code = code
	if errors.As(err, &e) {
		body.Error.Message = e.Detail
	}
	if errors.Is(err, errMethod) {
		status = http.StatusMethodNotAllowed
	}
	h := w.Header()
	h.Set("Diamond-Error", code)
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusTooManyRequests && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "10")
	}
	w.WriteHeader(status)
	text, _ := json.Marshal(body)      // of strings: it cannot fail
	_, _ = w.Write(append(text, '\n')) // the peer may have gone
	return status
}
