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

// anewSpread is within what time servers register with a name server that they
// have found to have started anew.
const anewSpread = time.Second

// Register holds a lease for addr, a host:port, with every name server until
// ctx ends; then it unregisters, which takes two seconds at most, and returns
// nil. It outlasts name servers that are dead, mute or have forgotten all: each
// is renewed on its own, and tried again with growing pauses. One that has started
// anew is told within a third of the lease, or at once when [Client.Resolve] finds
// that it has. Errors wrap ErrInvalid: addr is not one at which a server can be
// reached.
func (c *Client) Register(ctx context.Context, addr string) error {
	addr, err := canonical(addr, "")
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

// Registrations returns, by the URL of each name server that was asked to hold a
// lease which [Client.Register] still wants, nil where it did when asked last, and
// else why not. One that refuses for want of the cluster's secret has an error that
// wraps ErrDenied. The map is the caller's.
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

// holding counts one lease more, or less, that is to be held.
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
	u := s.base.JoinPath("v1", "servers", url.PathEscape(addr))
	renew := *u
	renew.RawQuery = url.Values{"ttl": {c.lease.String()}}.Encode()
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
			// Not all servers in one moment, nor without end where several name servers share a URL.
			_ = backoff.Sleep(ctx, rand.N(anewSpread))
		case <-time.After(pause):
		}
	}
	c.holding(s, -1)
	// What ctx carries still counts, its end does not.
	if _, _, err := c.call(context.WithoutCancel(ctx), s, http.MethodDelete, u); err != nil {
		c.logger.Info("not unregistered; the lease will end by itself", "url", s.base.String(), "address", addr, "error", err)
	}
}

// instanceOf returns which name server answered to a registration.
func instanceOf(body []byte) string {
	var a leaseAnswer
	if json.Unmarshal(body, &a) != nil || len(a.Instance) > maxInstance {
		return ""
	}
	return a.Instance
}

// messageOf returns what an error's answer says, in a form that a log line can hold.
func messageOf(body []byte) string {
	var a errorAnswer
	if json.Unmarshal(body, &a) != nil || a.Error.Code == "" {
		return ""
	}
	return fmt.Sprintf(": %+.40q: %+.200q", a.Error.Code, a.Error.Message)
}
