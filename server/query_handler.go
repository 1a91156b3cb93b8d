package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// queryHandler answers the queries of peers. It admits who may nudge, by a verifier of its own,
// so that queries cannot use up what nudges need.
type queryHandler struct {
	door    *nudgeHandler
	monitor *monitor // nil if the server does not know who polls it
	state   func() conf.ClusterNode
	decides bool // the server decides about rights
	observe func(httptransport.Observation)
}

func newQueryHandler(p *peers, authenticated bool, m *monitor, state func() conf.ClusterNode, observe func(httptransport.Observation)) *queryHandler {
	return &queryHandler{newNudgeHandler(p, authenticated, observe), m, state, decides(p.srv), observe}
}

// ServeHTTP implements http.Handler.
func (h *queryHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	// Connections of tests may have no deadlines.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(begun.Add(arrivalTimeout))
	_ = control.SetWriteDeadline(begun.Add(pageTimeout))
	status := http.StatusOK
	if a, err := h.answer(w, r); err != nil {
		h.door.log(r, err)
		status = writeError(w, err)
	} else {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(a) // the peer may have gone
	}
	h.observe(httptransport.Observation{Route: pathQuery, Method: methodOf(r), Status: status, Duration: time.Since(begun)})
}

// answer returns the answer to the query of a peer.
func (h *queryHandler) answer(w http.ResponseWriter, r *http.Request) (*peerAnswer, error) {
	body, err := h.door.receive(w, r)
	if err != nil {
		return nil, err
	}
	var q peerQuery
	if json.Unmarshal(body, &q) != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "body: not the JSON of a query")
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout) // the peer does not wait for longer
	defer cancel()
	proven := h.door.verifier != nil || h.door.authenticated
	if !proven { // any program of this machine may ask, and on behalf of nobody else
		q.Principal = ""
	}
	ctx = conf.WithCaller(ctx, conf.Caller{Principal: conf.Principal{Name: q.Principal}, Address: r.RemoteAddr})
	a := &peerAnswer{ID: h.door.peers.id}
	switch {
	case q.Cluster && !proven && h.decides:
		err = conf.Errorf(conf.ErrDenied, "without a cluster secret nobody can ask for it here")
	case q.Cluster: // the page of the peer has asked for the right
		state := h.state()
		a.Node = &state
	case h.monitor == nil:
		err = conf.Errorf(conf.ErrUnavailable, "this server does not know who polls it")
	case q.Listeners != nil:
		a.Listeners, err = h.monitor.local.Listeners(ctx, q.Listeners)
	case q.Clients != nil:
		a.Clients, err = h.monitor.local.Clients(ctx, q.Clients)
	default:
		err = conf.Errorf(conf.ErrInvalid, "body: asks for nothing that this server knows")
	}
	return a, err
}
