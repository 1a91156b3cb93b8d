package server

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// monitor says who polls the servers of a cluster. It implements [httptransport.Monitor]. Each
// server decides itself what the caller may see, and asks its peers on behalf of the caller.
type monitor struct {
	local httptransport.Monitor
	peers *peers                  // nil without peers
	name  *atomic.Pointer[string] // of the node; see Node.name
}

// newMonitor returns the monitor of a node, or nil if its server does not know who polls it.
func newMonitor(srv any, peers *peers, name *atomic.Pointer[string]) *monitor {
	local, ok := srv.(httptransport.Monitor)
	if !ok {
		return nil
	}
	return &monitor{local: local, peers: peers, name: name}
}

// node returns the address of this node, or "" if it does not run.
func (m *monitor) node() string {
	if name := m.name.Load(); name != nil {
		return *name
	}
	return ""
}

// Listeners implements httptransport.Monitor.
func (m *monitor) Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	own, err := m.local.Listeners(ctx, req)
	if err != nil {
		return nil, err
	}
	answers, missing, err := m.survey(ctx, req.Local, peerQuery{Listeners: req})
	if err != nil {
		return nil, err
	}
	parts := []part[conf.Listener]{{m.node(), own.Listeners, own.Next}}
	given := &conf.ListenersResponse{Revision: own.Revision, Polling: own.Polling, Missing: append(m.named(own.Missing, m.node()), missing...)}
	for _, a := range answers {
		if a.Listeners != nil {
			parts = append(parts, part[conf.Listener]{a.from, a.Listeners.Listeners, a.Listeners.Next})
			given.Polling += a.Listeners.Polling
			given.Missing = append(given.Missing, m.named(a.Listeners.Missing, a.from)...)
		}
	}
	partial := len(given.Missing) > 0
	given.Listeners, given.Next = merge(parts, req.Limit, func(l *conf.Listener) *conf.Client { return &l.Client }, mergeListener,
		func(l *conf.Listener) bool { return partial || !l.Seen.IsZero() }) // who only reported polls nobody
	return given, nil
}

// mergeListener adds to a what b says of the same listener.
func mergeListener(a, b *conf.Listener) {
	mergeClient(&a.Client, &b.Client)
	if cmp.Or(cmp.Compare(b.Reported, a.Reported), b.ReportedAt.Compare(a.ReportedAt)) > 0 {
		a.Reported, a.Applied, a.Reason, a.ReportedAt = b.Reported, b.Applied, b.Reason, b.ReportedAt
	}
}

// Clients implements httptransport.Monitor.
func (m *monitor) Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	own, err := m.local.Clients(ctx, req)
	if err != nil {
		return nil, err
	}
	answers, missing, err := m.survey(ctx, req.Local, peerQuery{Clients: req})
	if err != nil {
		return nil, err
	}
	parts := []part[conf.Client]{{m.node(), own.Clients, own.Next}}
	given := &conf.ClientsResponse{Polling: own.Polling, Missing: append(m.named(own.Missing, m.node()), missing...)}
	for _, a := range answers {
		if a.Clients != nil {
			parts = append(parts, part[conf.Client]{a.from, a.Clients.Clients, a.Clients.Next})
			given.Polling += a.Clients.Polling
			given.Missing = append(given.Missing, m.named(a.Clients.Missing, a.from)...)
		}
	}
	given.Clients, given.Next = merge(parts, req.Limit, func(c *conf.Client) *conf.Client { return c }, mergeClient,
		func(*conf.Client) bool { return true })
	return given, nil
}

// mergeClient makes a what b says of the same client, if it polls where b is from, or did
// later.
func mergeClient(a, b *conf.Client) {
	if b.Polling && !a.Polling || b.Polling == a.Polling && b.Seen.After(a.Seen) {
		*a = *b
	}
}

// named returns missing with the name of the node that says it.
func (m *monitor) named(missing []conf.MissingNode, node string) (list []conf.MissingNode) {
	for _, one := range missing {
		list = append(list, conf.MissingNode{Node: node, Reason: one.Reason})
	}
	return list
}

// survey asks all peers, unless the request is about this node alone.
func (m *monitor) survey(ctx context.Context, local bool, q peerQuery) (answers []peerAnswer, missing []conf.MissingNode, err error) {
	if local || m.peers == nil {
		return nil, nil, nil
	}
	q.Principal = conf.CallerFrom(ctx).Principal.Name
	return m.peers.ask(ctx, q)
}

// part is one node's part of a page. A node with a next page has listed all names up to next.
type part[T any] struct {
	node string
	list []T
	next string
}

// merge makes one page of the parts of it, in the order of names, each name once. Client
// returns who an element is about, add merges the second into the first, and keep reports
// whether to list one.
func merge[T any](parts []part[T], limit int, client func(*T) *conf.Client, add func(a, b *T), keep func(*T) bool) (page []T, next string) {
	byName := make(map[string]*T)
	for _, p := range parts {
		if p.next != "" && (next == "" || p.next < next) {
			next = p.next
		}
		for i := range p.list {
			one := &p.list[i]
			if c := client(one); !c.Seen.IsZero() {
				c.Node = p.node
			}
			if have := byName[client(one).Name]; have != nil {
				add(have, one)
			} else {
				byName[client(one).Name] = one
			}
		}
	}
	for name, one := range byName {
		if (next == "" || name <= next) && keep(one) {
			page = append(page, *one)
		}
	}
	slices.SortFunc(page, func(a, b T) int { return strings.Compare(client(&a).Name, client(&b).Name) })
	if limit, _ = conf.PageLimit(limit); len(page) > limit { // no server takes a negative one
		page = page[:limit]
		next = client(&page[limit-1]).Name
	}
	return page, next
}
