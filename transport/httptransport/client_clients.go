package httptransport

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/linnaname/gdiamond/conf"
)

// maxClientsBody is the maximum number of bytes that a client reads of an answer about clients
// or servers.
const maxClientsBody = 16 << 20

// Listeners asks which clients poll a key, at all servers of the cluster, and what they have
// reported about it. ErrDenied: the caller may not read the key. A server of before there was
// such a request answers ErrInvalid.
func (t *Transport) Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	path, err := keyPath(pathListeners, req.Key)
	if err != nil {
		return nil, conf.WithOp("listeners", req.Key, err)
	}
	var body listenersBody
	ask := &request{op: "listeners", method: http.MethodGet, key: req.Key, path: path, query: pageQuery(req.After, req.Limit, req.Local)}
	if err := t.askLong(ctx, ask, &body); err != nil {
		return nil, err
	}
	res := &conf.ListenersResponse{Next: body.Next, Polling: body.Polling, Revision: body.Revision, Missing: body.Missing}
	for i := range body.Listeners {
		l := &body.Listeners[i]
		res.Listeners = append(res.Listeners, conf.Listener{Client: l.client(), Reported: l.Reported, Applied: l.Applied, Reason: l.Reason, ReportedAt: l.ReportedAt})
	}
	return res, nil
}

// Clients asks which clients poll the servers of the cluster. ErrDenied: the caller may neither
// list everything nor administer the namespace that it asks about. A server of before there was
// such a request answers ErrInvalid.
func (t *Transport) Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	q := pageQuery(req.After, req.Limit, req.Local)
	set(q, "namespace", req.Namespace)
	var body clientsBody
	if err := t.askLong(ctx, &request{op: "clients", method: http.MethodGet, path: pathClients, query: q}, &body); err != nil {
		return nil, err
	}
	res := &conf.ClientsResponse{Next: body.Next, Polling: body.Polling, Missing: body.Missing}
	for i := range body.Clients {
		res.Clients = append(res.Clients, body.Clients[i].client())
	}
	return res, nil
}

// Cluster asks for the state of the servers of the cluster. ErrDenied: the caller may not list
// everything. A server that is not one of a node, or of before there was such a request,
// answers ErrInvalid.
func (t *Transport) Cluster(ctx context.Context) (*conf.Cluster, error) {
	var cluster conf.Cluster
	if err := t.askLong(ctx, &request{op: "cluster", method: http.MethodGet, path: pathCluster}, &cluster); err != nil {
		return nil, err
	}
	return &cluster, nil
}

// pageQuery returns the parameters of a request for a page of clients.
func pageQuery(after string, limit int, local bool) url.Values {
	q := url.Values{}
	set(q, "after", after)
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if local {
		q.Set("local", "true")
	}
	return q
}

// askLong gets a JSON answer that may have a page of clients.
func (t *Transport) askLong(ctx context.Context, req *request, to any) error {
	return t.do(ctx, req, func(res *http.Response) error {
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxClientsBody))
		if err == nil && json.Unmarshal(raw, to) != nil {
			err = conf.Errorf(conf.ErrInvalid, "is not the JSON that was asked for")
		}
		return err
	})
}
