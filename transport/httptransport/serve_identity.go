package httptransport

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// Knower is a server that decides about rights, and can say what it would decide. If the
// server that a handler serves is none, it is open: everybody may do everything outside the
// system's namespaces, and the handler says so.
type Knower interface {
	// WhoAmI returns who the caller is to the server; see [conf.CallerFrom].
	WhoAmI(ctx context.Context) (conf.Identity, error)
	// Can returns whether a principal has a right. ErrInvalid: the verb, the scope or the
	// principal is not of the form that it must have. ErrDenied: the caller may not ask
	// about another principal.
	Can(ctx context.Context, req conf.CanRequest) (conf.CanResponse, error)
}

// whoAmI serves GET /v1/whoami.
func (h *handler) whoAmI(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	err := query(r, func(name, _ string) error { return httpserve.UnknownParam(name) })
	ctx := httpserve.Caller(r)
	who := conf.Identity{Principal: conf.CallerFrom(ctx).Principal.Name, Mode: conf.ModeOpen}
	if knower, ok := h.srv.(Knower); ok && err == nil {
		who, err = knower.WhoAmI(ctx)
	}
	if err != nil {
		return fail(w, err, 0)
	}
	body := identityBody{Principal: who.Principal, Mode: who.Mode, Teams: who.Teams}
	if !who.Expires.IsZero() {
		body.Expires = who.Expires.UTC().Format(time.RFC3339)
	}
	return sendJSON(w, &body)
}

// can serves GET /v1/can.
func (h *handler) can(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var req conf.CanRequest
	err := query(r, func(name, value string) error {
		switch name {
		case "verb":
			req.Verb = value
		case "scope":
			req.Scope = value
		case "as":
			req.As = value
		default:
			return httpserve.UnknownParam(name)
		}
		return nil
	})
	switch {
	case err != nil:
	case req.Verb == "":
		err = conf.Invalidf("verb: not given")
	case req.Scope == "":
		err = conf.Invalidf("scope: not given")
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res := openCan(&req)
	if knower, ok := h.srv.(Knower); ok {
		if res, err = knower.Can(httpserve.Caller(r), req); err != nil {
			return fail(w, err, 0)
		}
	}
	return sendJSON(w, &canBody{res.Allowed, res.Why})
}

// openCan answers for a server that has no rights.
func openCan(req *conf.CanRequest) conf.CanResponse {
	if strings.HasPrefix(req.Scope, "namespace:_") {
		return conf.CanResponse{Why: "the namespace is the system's"}
	}
	return conf.CanResponse{Allowed: true, Why: "this server is open: it decides no rights"}
}

// identityBody is a [conf.Identity] on the wire.
type identityBody struct {
	Principal string   `json:"principal"`
	Mode      string   `json:"mode"`
	Expires   string   `json:"expires,omitempty"` // RFC 3339
	Teams     []string `json:"teams,omitempty"`
}

// canBody is a [conf.CanResponse] on the wire.
type canBody struct {
	Allowed bool   `json:"allowed"`
	Why     string `json:"why,omitempty"`
}

// sendJSON answers with a value that can be encoded.
func sendJSON(w http.ResponseWriter, value any) httpserve.Outcome {
	raw, _ := json.Marshal(value)
	writeJSON(w, http.StatusOK, append(raw, '\n'))
	return httpserve.Outcome{Status: http.StatusOK, Bytes: int64(len(raw)) + 1}
}
