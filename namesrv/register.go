package namesrv

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// anewSpread is the time over which servers spread their registrations with a name server
// that has restarted.
const anewSpread = time.Second

// Register holds a lease for addr, a host:port, or https://host:port if the server speaks TLS,
// with every name server until ctx ends. Then it unregisters, which takes at most two seconds,
// and returns nil. Register renews each lease separately, and retries with growing pauses while a name server is down or silent. It
// registers with a restarted name server within a third of the lease, or at once if
// [Client.Resolve] finds that the name server has restarted. The error wraps ErrInvalid if
// addr cannot be the address of a server.
func (c *Client) Register(ctx context.Context, addr string) error {
	addr, err := serverAddress(addr)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, s := range c.sources {
		wg.Go(func() { c.hold(ctx, s, addr) })
	}
	wg.Wait()
	return nil
}

// Registrations returns the result of the last registration at each name server, by its URL,
// while [Client.Register] runs. The result is nil if the name server holds the lease. If it
// refuses because of the cluster's secret, the error wraps ErrDenied. The caller owns the map.
func (c *Client) Registrations() map[string]error {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := make(map[string]error)
	for _, s := range c.sources {
		if s.told {
			states[s.base.String()] = s.holdFails
		}
	}
	return states
}

// holding adds more to the number of leases to hold.
func (c *Client) holding(s *source, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.holds += more; s.holds == 0 {
		s.told = false
	}
}

// hold keeps addr registered with one name server until ctx ends.
func (c *Client) hold(ctx context.Context, s *source, addr string) {
	c.holding(s, 1)
	hostPort, scheme := splitScheme(addr)
	u := s.base.JoinPath("v1", "servers", url.PathEscape(hostPort))
	renew := *u
	query := url.Values{"ttl": {c.lease.String()}}
	if scheme != "" {
		query.Set("scheme", scheme)
	}
	renew.RawQuery = query.Encode()
	every := c.lease / 3
	failures := backoff.Backoff{Cap: every}
	for ctx.Err() == nil {
		body, _, err := c.call(ctx, s, http.MethodPut, &renew)
		if ctx.Err() != nil {
			break
		}
		c.mu.Lock()
		c.report(s, &s.holdFails, err)
		s.told = true
		if err == nil {
			s.meet(instanceOf(body))
		}
		anew := s.anew
		c.mu.Unlock()
		pause := every - rand.N(every/10)
		if err != nil {
			pause = failures.Next(0)
		} else {
			failures.Reset()
		}
		select {
		case <-ctx.Done():
		case <-anew:
			// The pause spreads the servers, and slows a loop if name servers share a URL.
			_ = backoff.Sleep(ctx, rand.N(anewSpread))
		case <-time.After(pause):
		}
	}
	c.holding(s, -1)
	// Unregister with the values of ctx, although ctx has ended.
	if _, _, err := c.call(context.WithoutCancel(ctx), s, http.MethodDelete, u); err != nil {
		c.logger.Info("not unregistered; the lease will end by itself", "url", s.base.String(), "address", addr, "error", err)
	}
}

// instanceOf returns the instance of the name server that answered a registration.
func instanceOf(body []byte) string {
	var a leaseAnswer
	if json.Unmarshal(body, &a) != nil || len(a.Instance) > maxInstance {
		return ""
	}
	return a.Instance
}

// messageOf returns the message of an error answer in a form that is safe for a log line.
func messageOf(body []byte) string {
	var a errorAnswer
	if json.Unmarshal(body, &a) != nil || a.Error.Code == "" {
		return ""
	}
	return fmt.Sprintf(": %+.40q: %+.200q", a.Error.Code, a.Error.Message)
}
