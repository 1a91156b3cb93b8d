package httptransport

import (
	"encoding/json"
	"net/http"

	"github.com/linnaname/gdiamond/api"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// changes serves GET /v1/changes.
func (h *handler) changes(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var req conf.ChangesRequest
	var err error
	req.Client, err = client(r)
	if err == nil {
		err = query(r, func(name, value string) (err error) {
			switch name {
			case "after":
				req.After, err = conf.ParsePosition(value)
			case "namespace":
				req.Namespace = value
			case "group":
				req.Group = value
			case "prefix":
				req.Prefix = value
			case "contents":
				req.Contents, err = parseBool(name, value)
			case "wait":
				req.Wait, err = parseWait(value)
			default:
				err = httpserve.UnknownParam(name)
			}
			return err
		})
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.Changes(httpserve.Caller(r), &req)
	if err != nil {
		out := fail(w, err, 0)
		out.Poll = req.Wait > 0
		return out
	}
	header := w.Header()
	h.setPosition(header, res.Position)
	if res.More {
		header[hMore] = valueTrue
	}
	if res.Draining {
		header[hDraining] = valueTrue
		httpserve.CloseConnection(header)
	}
	var a answer
	for i := range res.Changes {
		c := &res.Changes[i]
		line := lineOfChange(c, req.Contents)
		if req.Contents && c.Op == conf.OpPublish {
			a.addContent(line, c.Content)
		} else {
			a.addLine(line)
		}
	}
	out := h.send(w, r, &a)
	out.Poll = req.Wait > 0
	return out
}

// list serves GET /v1/configs.
func (h *handler) list(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var req conf.ListRequest
	var err error
	if req.Client, err = client(r); err == nil {
		req.Seen, err = seen(r)
	}
	if err == nil {
		err = query(r, func(name, value string) (err error) {
			switch name {
			case "namespace":
				req.Namespace = value
			case "group":
				req.Group = value
			case "prefix":
				req.Prefix = value
			case "after":
				req.After, err = conf.ParseKey(value)
			case "limit":
				req.Limit, err = parseLimit(value)
			case "contents":
				req.Contents, err = parseBool(name, value)
			default:
				err = httpserve.UnknownParam(name)
			}
			return err
		})
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.List(httpserve.Caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	header := w.Header()
	h.setPosition(header, res.Position)
	setStale(header, res.Stale)
	if res.Partial {
		header[hPartial] = valueTrue
	}
	if res.More {
		header[hMore] = valueTrue
	}
	var a answer
	for i := range res.Entries {
		if req.Contents {
			h.addEntry(&a, &res.Entries[i])
		} else {
			a.addLine(lineOf(&res.Entries[i], nil))
		}
	}
	return h.send(w, r, &a)
}

// history serves GET /v1/history.
func (h *handler) history(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	var req conf.HistoryRequest
	var err error
	if req.Key, err = pathKey(r, pathHistory); err == nil {
		req.Client, err = client(r)
	}
	if err == nil {
		req.Seen, err = seen(r)
	}
	if err == nil {
		err = query(r, func(name, value string) (err error) {
			switch name {
			case "before":
				req.Before, err = parseNumber(name, value)
			case "limit":
				req.Limit, err = parseLimit(value)
			default:
				err = httpserve.UnknownParam(name)
			}
			return err
		})
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.History(httpserve.Caller(r), &req)
	if err != nil {
		return fail(w, err, 0)
	}
	var a answer
	for i := range res.Changes {
		a.addLine(lineOfChange(&res.Changes[i], false))
	}
	return h.send(w, r, &a)
}

func parseLimit(value string) (int, error) {
	n, err := parseNumber("limit", value)
	return int(min(n, conf.MaxPage)), err
}

// head serves GET /v1/position: the position of this server, without asking its storage.
func (h *handler) head(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	if err := query(r, func(name, _ string) error { return httpserve.UnknownParam(name) }); err != nil {
		return fail(w, err, 0)
	}
	status := h.srv.Status()
	if !status.Ready {
		return fail(w, conf.Errorf(conf.ErrUnavailable, "not ready"), 0)
	}
	p := status.Position
	h.setPosition(w.Header(), p)
	body := positionBody{
		Store: p.Store.String(), Generation: p.Epoch.Generation, Revision: p.Revision,
		Position: p.String(), Ready: status.Ready,
	}
	if status.Stale > 0 {
		setStale(w.Header(), status.Stale)
		body.Stale = status.Stale.String()
	}
	raw, _ := json.Marshal(body)
	writeJSON(w, http.StatusOK, append(raw, '\n'))
	return httpserve.Outcome{Status: http.StatusOK, Bytes: int64(len(raw)) + 1}
}

var valueYAML = []string{"application/yaml"} // a header's value, shared by all answers

// openAPI serves the specification.
func (h *handler) openAPI(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	if err := query(r, func(name, _ string) error { return httpserve.UnknownParam(name) }); err != nil {
		return fail(w, err, 0)
	}
	header := w.Header()
	header[hContentType] = valueYAML
	header[hNosniff] = valueNosniff
	return httpserve.WriteContent(w, r, api.OpenAPI)
}
