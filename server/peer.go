package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// nudgeTimeout is the time limit for one nudge. Soon after it the peer reads the log
	// anyway.
	nudgeTimeout = time.Second
	// nudgeGap is the minimum time between two nudges of one peer. The later one stands
	// for all commits in between.
	nudgeGap = 5 * time.Millisecond
	// nudgeIdle is the time without a commit after which a peer is nudged anyway, so
	// that the server knows whether it is reachable.
	nudgeIdle = 30 * time.Second
	// nudgeBackoff is the longest pause after nudges that failed.
	nudgeBackoff = 10 * time.Second
)

// pathNudge is the path at which peers receive nudges.
const pathNudge = "/v1/peer/nudge"

// headerNode names the node in the answer to a nudge.
const headerNode = "Diamond-Node"

// nudge is the body of a nudge.
type nudge struct {
	Position string `json:"position"`
}

// peer is another server. One goroutine nudges it, one nudge at a time, with the newest
// position, so that a slow peer delays nobody.
type peer struct {
	peers  *peers
	addr   string
	stop   context.CancelFunc
	signer *cluster.Signer
	url    *url.URL // nil if the address is none

	querySigner *cluster.Signer // the peer verifies queries apart from nudges
	queryURL    *url.URL

	newest atomic.Pointer[conf.Position]
	wake   chan struct{}             // capacity 1: there is a newer position
	state  atomic.Pointer[peerState] // nil before the first nudge
}

// peerState is the result of the last nudge.
type peerState struct {
	err  error
	self bool // the nudge came back to this node
}

func newPeer(p *peers, addr string) *peer {
	m := &peer{peers: p, addr: addr, wake: make(chan struct{}, 1)}
	raw := addr
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	base, err := url.Parse(raw)
	if err != nil || base.Hostname() == "" || base.User != nil || base.Scheme != "http" && base.Scheme != "https" {
		return m // each nudge reports it
	}
	if p.port != "" && (base.Scheme == "http" || p.secure) {
		// The address is the one for clients.
		base = &url.URL{Scheme: "https", Host: net.JoinHostPort(base.Hostname(), p.port)}
	}
	m.url = base.JoinPath(pathNudge)
	m.url.RawQuery, m.url.Fragment = "", ""
	m.queryURL = base.JoinPath(pathQuery)
	m.queryURL.RawQuery, m.queryURL.Fragment = "", ""
	m.signer, m.querySigner = cluster.NewSigner(p.secret, base), cluster.NewSigner(p.secret, base)
	return m
}

func newPeerTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: nudgeTimeout, KeepAlive: 15 * time.Second}).DialContext,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        2 * nudgeIdle,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// tell schedules a nudge of the peer with at. It does not wait.
func (m *peer) tell(at conf.Position) {
	m.newest.Store(&at)
	m.again()
}

// again schedules a nudge of the peer with the newest position.
func (m *peer) again() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run nudges the peer until ctx ends.
func (m *peer) run(ctx context.Context) {
	failures := backoff.Backoff{Base: 100 * time.Millisecond, Cap: nudgeBackoff}
	for {
		if self := m.state.Load(); self != nil && self.self {
			// The address may belong to another server one day.
			_ = backoff.Sleep(ctx, backoff.Jitter(nudgeIdle, 0.1))
		} else if !m.wait(ctx) {
			return
		}
		if ctx.Err() != nil {
			return
		}
		err := m.nudge(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := nudgeGap
		if err != nil {
			pause = failures.Next(0)
			m.again()
		} else {
			failures.Reset()
		}
		if backoff.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// wait waits for a newer position, or for nudgeIdle. It returns false if ctx has
// ended.
func (m *peer) wait(ctx context.Context) bool {
	timer := time.NewTimer(backoff.Jitter(nudgeIdle, 0.1))
	defer timer.Stop()
	select {
	case <-m.wake:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// nudge sends the peer the newest position, and records the result.
func (m *peer) nudge(ctx context.Context) error {
	self, err := m.send(ctx, *m.newest.Load())
	if ctx.Err() != nil {
		return err
	}
	before := m.state.Swap(&peerState{err: err, self: self})
	m.peers.counts.sent(self, err)
	failed := before != nil && before.err != nil
	switch {
	case err != nil && (!failed || errors.Is(err, conf.ErrDenied) != errors.Is(before.err, conf.ErrDenied)):
		m.peers.logger.Warn("peer takes no nudges; it will see changes a moment later", "peer", m.addr, "error", err)
	case err == nil && failed:
		m.peers.logger.Info("peer takes nudges again", "peer", m.addr)
	}
	return err
}

// send sends one nudge. Self reports whether this node itself took it.
func (m *peer) send(ctx context.Context, at conf.Position) (self bool, err error) {
	if m.url == nil {
		return false, conf.Errorf(conf.ErrInvalid, "its address %+.200q is neither host:port nor an http URL", m.addr)
	}
	ctx, cancel := context.WithTimeout(ctx, nudgeTimeout)
	defer cancel()
	body, err := json.Marshal(nudge{Position: at.String()})
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := m.signer.Do(m.peers.http, req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the caller logs the address
		}
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // if it does not arrive, the error has no text
		return false, refusal(res.StatusCode, text)
	}
	return res.Header.Get(headerNode) == m.peers.id, nil
}

// refusal returns the error of an answer other than success.
func refusal(status int, body []byte) error {
	var e errorBody
	if json.Unmarshal(body, &e) == nil && e.Error.Code != "" {
		sentinel := conf.ErrUnavailable
		if status == http.StatusForbidden {
			sentinel = conf.ErrDenied
		}
		return conf.Errorf(sentinel, "it answers %d: %+.200q", status, e.Error.Message)
	}
	return fmt.Errorf("it answers %d, and is no server of this kind", status)
}
