package httptransport

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Monitor is a server that knows who polls it. A handler asks the server that it serves, if
// that is one, unless [WithMonitor] gives another. Monitors are safe for concurrent use.
type Monitor interface {
	// Listeners returns a page of the clients that poll a key. ErrInvalid: the request is not
	// of the form that it must have. ErrDenied: the caller may not read the key.
	Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error)
	// Clients returns a page of the clients that poll. ErrDenied: the caller may neither list
	// everything nor administer the namespace that it asks about.
	Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error)
}

// WithMonitor makes the handler ask monitor who polls, in the place of the server itself. The
// monitor decides who may see it. A server's node gives one that asks the other servers of the
// cluster too.
func WithMonitor(monitor Monitor) HandlerOption {
	return func(s *settings) { s.monitor = monitor }
}

// clientBody is a [conf.Client] on the wire.
type clientBody struct {
	Name      string            `json:"name"`
	ID        string            `json:"id,omitempty"`
	App       string            `json:"app,omitempty"`
	Version   string            `json:"version,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Principal string            `json:"principal,omitempty"`
	Address   string            `json:"address,omitempty"`
	Node      string            `json:"node,omitempty"`
	Keys      int               `json:"keys,omitempty"`
	Revision  int64             `json:"revision,omitempty"`
	Seen      time.Time         `json:"seen,omitzero"`
	Polling   bool              `json:"polling"`
}

func bodyOfClient(c *conf.Client) clientBody {
	return clientBody{
		c.Name, c.ID, c.App, c.Version, c.Labels, c.Principal, c.Address, c.Node, c.Keys, c.Revision,
		c.Seen.UTC().Truncate(time.Millisecond), c.Polling,
	}
}

func (b *clientBody) client() conf.Client {
	return conf.Client{
		ClientInfo: conf.ClientInfo{ID: b.ID, App: b.App, Version: b.Version, Labels: b.Labels},
		Name:       b.Name, Principal: b.Principal, Address: b.Address, Node: b.Node,
		Keys: b.Keys, Revision: b.Revision, Seen: b.Seen, Polling: b.Polling,
	}
}

// listenerBody is a [conf.Listener] on the wire.
type listenerBody struct {
	clientBody
	Reported   int64     `json:"reported,omitempty"`
	Applied    bool      `json:"applied,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	ReportedAt time.Time `json:"reportedAt,omitzero"`
}

// pageBody is what the pages of clients and of listeners have in common.
type pageBody struct {
	Next    string             `json:"next,omitempty"`
	Polling int                `json:"polling"`
	Partial bool               `json:"partial"`
	Missing []conf.MissingNode `json:"missing,omitempty"`
}

func bodyOfPage(next string, polling int, missing []conf.MissingNode) pageBody {
	return pageBody{next, polling, len(missing) > 0, missing}
}

// clientsBody is a [conf.ClientsResponse] on the wire.
type clientsBody struct {
	Clients []clientBody `json:"clients"`
	pageBody
}

// listenersBody is a [conf.ListenersResponse] on the wire.
type listenersBody struct {
	Revision  int64          `json:"revision"`
	Listeners []listenerBody `json:"listeners"`
	pageBody
}
