package engine

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
)

// Listeners returns a page of the clients that poll a key here, and of those that have
// reported about it here, who may poll another server of the store. Errors wrap ErrInvalid, or
// ErrUnavailable while the server serves nobody.
func (s *Server) Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	key := req.Key.Canonical()
	resp, err := s.listeners(ctx, key, req)
	if err != nil {
		return nil, AnswerError(ctx, "listeners", key, err)
	}
	return resp, nil
}

func (s *Server) listeners(ctx context.Context, key conf.Key, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	if err := s.mayLook(ctx); err != nil {
		return nil, err
	}
	if err := s.validateKey(key); err != nil {
		return nil, err
	}
	page, err := newNamePage(req.After, req.Limit)
	if err != nil {
		return nil, err
	}
	st, err := s.served.serving()
	if err != nil {
		return nil, err
	}
	resp := &conf.ListenersResponse{Missing: s.missingClients()}
	if r := st.index.get(key); !r.absent() {
		resp.Revision = r.Revision
	}
	s.polls.clients.scan(func(p polledSet) {
		if !hasKey(p.set, key) {
			return
		}
		if p.polling {
			resp.Polling++
		}
		page.add(p.client)
	})
	outcomes := make(map[clientName]reported)
	s.reports.of(key, func(client clientName, report reported) {
		outcomes[client] = report
		page.add(client)
	})
	names, next := page.names()
	resp.Next = next
	for _, name := range names {
		l := conf.Listener{Client: conf.Client{ClientInfo: conf.ClientInfo{ID: name.id}, Name: name.String(), Principal: name.principal}}
		if known, _, ok := s.polls.clients.get(name); ok {
			l.Client = known
			l.Keys = 0 // the others are not what was asked about
		}
		if report, ok := outcomes[name]; ok {
			l.Reported, l.ReportedAt = report.revision, report.at.Round(0)
			l.Applied, l.Reason = report.reason == appliedIt, reasons[report.reason]
		}
		resp.Listeners = append(resp.Listeners, l)
	}
	return resp, nil
}

// Clients returns a page of the clients that poll here. Errors wrap ErrInvalid, or
// ErrUnavailable while the server serves nobody.
func (s *Server) Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	resp, err := s.clients(ctx, req)
	if err != nil {
		return nil, AnswerError(ctx, "clients", conf.Key{}, err)
	}
	return resp, nil
}

func (s *Server) clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	if err := s.mayLook(ctx); err != nil {
		return nil, err
	}
	if err := s.validateFilter(conf.Filter{Namespace: req.Namespace}); err != nil {
		return nil, err
	}
	namespace := (conf.Key{Namespace: req.Namespace}).Canonical().Namespace
	page, err := newNamePage(req.After, req.Limit)
	if err != nil {
		return nil, err
	}
	resp := &conf.ClientsResponse{Missing: s.missingClients()}
	s.polls.clients.scan(func(p polledSet) {
		if req.Namespace != "" && !hasNamespace(p.set, namespace) {
			return
		}
		if p.polling {
			resp.Polling++
		}
		page.add(p.client)
	})
	names, next := page.names()
	resp.Next = next
	for _, name := range names {
		known, set, ok := s.polls.clients.get(name)
		if !ok {
			continue
		}
		if req.Namespace != "" && set != nil {
			known.Keys = keysWithin(set, namespace)
		}
		resp.Clients = append(resp.Clients, known)
	}
	return resp, nil
}

// mayLook returns an error if the server serves nobody, or not by this door.
func (s *Server) mayLook(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.open()
}

// missingClients says that there are clients for which this server has no room, if so.
func (s *Server) missingClients() []conf.MissingNode {
	if s.polls.clients.complete() {
		return nil
	}
	return []conf.MissingNode{{Reason: "more clients poll it than it can keep in mind"}}
}
