package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// queryTimeout is the time in which peers answer a query. The answer goes without those
	// that do not.
	queryTimeout = time.Second
	// maxSurveys is the number of requests at a time for which a node asks its peers.
	maxSurveys = 8
	// maxQueryAnswer is the maximum size in bytes of the answer of a peer.
	maxQueryAnswer = 16 << 20
)

// pathQuery is the path at which peers receive queries.
const pathQuery = "/v1/peer/query"

// peerQuery asks a peer for its part of an answer, with one field set besides the principal.
// It is JSON on the wire. The peer decides what the principal may see.
type peerQuery struct {
	Principal string                 `json:"principal,omitempty"` // on whose behalf; "" for an anonymous caller
	Listeners *conf.ListenersRequest `json:"listeners,omitempty"`
	Clients   *conf.ClientsRequest   `json:"clients,omitempty"`
	Cluster   bool                   `json:"cluster,omitempty"` // the state of the peer itself
}

// peerAnswer is the answer to a peerQuery.
type peerAnswer struct {
	ID        string                  `json:"id"` // of the node, as in the answer to a nudge
	Listeners *conf.ListenersResponse `json:"listeners,omitempty"`
	Clients   *conf.ClientsResponse   `json:"clients,omitempty"`
	Node      *conf.ClusterNode       `json:"node,omitempty"`

	from string // the address of the peer
}

// ask asks all peers at the same time, and returns the answers of those that answered in time,
// by address, and who the others are. It fails with ErrOverloaded if there are too many such
// requests, or with the error of ctx.
func (p *peers) ask(ctx context.Context, q peerQuery) (answers []peerAnswer, missing []conf.MissingNode, err error) {
	if err := p.beginSurvey(ctx); err != nil {
		return nil, nil, err
	}
	defer func() { <-p.surveys }()
	p.mu.Lock()
	members := maps.Clone(p.members)
	unresolved := p.unresolved
	p.mu.Unlock()
	if unresolved != nil {
		missing = append(missing, conf.MissingNode{Reason: "the list of servers cannot be read; there may be more"})
	}
	body, _ := json.Marshal(q) // of strings and numbers: it cannot fail
	asked, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	ids := map[string]bool{p.id: true}
	for addr, m := range members {
		if st := m.state.Load(); st != nil && st.self {
			continue
		}
		asking.Go(func() {
			a, err := m.query(asked, body)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				missing = append(missing, conf.MissingNode{Node: addr, Reason: whyMissing(asked, err)})
				p.logger.Debug("peer does not answer a query", "peer", addr, "error", err)
			case !ids[a.ID]: // a server may be listed twice
				ids[a.ID] = true
				a.from = addr
				answers = append(answers, a)
			}
		})
	}
	asking.Wait()
	slices.SortFunc(answers, func(a, b peerAnswer) int { return cmp.Compare(a.from, b.from) })
	slices.SortFunc(missing, func(a, b conf.MissingNode) int { return cmp.Compare(a.Node, b.Node) })
	return answers, missing, ctx.Err()
}

// beginSurvey waits until few enough others ask the peers. The caller takes an element out of
// surveys at the end.
func (p *peers) beginSurvey(ctx context.Context) error {
	timer := time.NewTimer(queryTimeout)
	defer timer.Stop()
	select {
	case p.surveys <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		e := conf.Errorf(conf.ErrOverloaded, "%d such requests are under way", maxSurveys)
		e.RetryAfter = time.Second
		return e
	}
}

// errNoQueries is the error of a peer that knows no queries.
var errNoQueries = errors.New("it knows no such queries")

// whyMissing returns why a peer has not answered, in words for callers.
func whyMissing(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "it did not answer in time"
	case errors.Is(err, conf.ErrDenied):
		return "it refuses to answer"
	case errors.Is(err, errNoQueries):
		return "it cannot say, because its program is older"
	case errors.Is(err, conf.ErrUnavailable), errors.Is(err, conf.ErrOverloaded):
		return "it cannot say now"
	}
	return "it cannot be reached"
}

// query sends a query to the peer.
func (m *peer) query(ctx context.Context, body []byte) (a peerAnswer, err error) {
	if m.url == nil {
		return a, conf.Errorf(conf.ErrInvalid, "its address is neither host:port nor an http URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.queryURL.String(), bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := m.querySigner.Do(m.peers.http, req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the caller logs the address
		}
		return a, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return a, errNoQueries
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxQueryAnswer))
	switch {
	case err != nil:
		return a, err
	case res.StatusCode != http.StatusOK:
		return a, refusal(res.StatusCode, raw)
	}
	err = json.Unmarshal(raw, &a)
	return a, err
}
