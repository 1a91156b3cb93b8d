package httptransport

import (
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// listeners serves GET /v1/listeners/{key}.
func (h *handler) listeners(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var req conf.ListenersRequest
	key, err := pathKey(r, pathListeners)
	if req.Key = key; err == nil {
		err = query(r, func(name, value string) error {
			return readPage(name, value, &req.After, &req.Limit, &req.Local)
		})
	}
	if err == nil {
		err = h.unmonitored()
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.monitor.Listeners(httpserve.Caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	body := listenersBody{Revision: res.Revision, Listeners: []listenerBody{}, pageBody: bodyOfPage(res.Next, res.Polling, res.Missing)}
	for i := range res.Listeners {
		l := &res.Listeners[i]
		body.Listeners = append(body.Listeners, listenerBody{
			bodyOfClient(&l.Client), l.Reported, l.Applied, l.Reason, l.ReportedAt.UTC().Truncate(time.Millisecond),
		})
	}
	return sendJSON(w, &body)
}

// clients serves GET /v1/clients.
func (h *handler) clients(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var req conf.ClientsRequest
	err := query(r, func(name, value string) error {
		if name == "namespace" {
			req.Namespace = value
			return nil
		}
		return readPage(name, value, &req.After, &req.Limit, &req.Local)
	})
	if err == nil {
		err = h.unmonitored()
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.monitor.Clients(httpserve.Caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	body := clientsBody{Clients: []clientBody{}, pageBody: bodyOfPage(res.Next, res.Polling, res.Missing)}
	for i := range res.Clients {
		body.Clients = append(body.Clients, bodyOfClient(&res.Clients[i]))
	}
	return sendJSON(w, &body)
}

// readPage reads a parameter of a request for a page of clients.
func readPage(name, value string, after *string, limit *int, local *bool) (err error) {
	switch name {
	case "after":
		*after = value
	case "limit":
		*limit, err = parseLimit(value)
	case "local":
		*local, err = parseBool(name, value)
	default:
		err = httpserve.UnknownParam(name)
	}
	return err
}

// unmonitored returns an error if the handler has nobody to ask who polls.
func (h *handler) unmonitored() error {
	if h.monitor == nil {
		return conf.Errorf(conf.ErrInvalid, "this server does not know who polls it")
	}
	return nil
}
