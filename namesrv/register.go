package namesrv

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// Register holds a lease for addr, a host:port, with every name server until
// ctx ends; then it unregisters, which takes two seconds at most, and returns
// nil. It outlasts name servers that are dead, mute or have forgotten all: each
// is renewed on its own, and tried again with growing pauses. Errors wrap
// ErrInvalid: addr is not one at which a server can be reached.
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

// hold keeps addr registered with one name server until ctx ends.
func (c *Client) hold(ctx context.Context, s *source, addr string) {
	u := s.base.JoinPath("v1", "servers", url.PathEscape(addr))
	renew := *u
	renew.RawQuery = url.Values{"ttl": {c.lease.String()}}.Encode()
	every := c.lease / 3
	failures := backoff.Backoff{Cap: every}
	for ctx.Err() == nil {
		_, _, err := c.call(ctx, http.MethodPut, &renew)
		if ctx.Err() != nil {
			break
		}
		c.mu.Lock()
		c.report(s, &s.holdFails, err)
		c.mu.Unlock()
		if err != nil {
			_ = failures.Wait(ctx, 0)
			continue
		}
		failures.Reset()
		_ = backoff.Sleep(ctx, every-rand.N(every/10))
	}
	// What ctx carries still counts, its end does not.
	if _, _, err := c.call(context.WithoutCancel(ctx), http.MethodDelete, u); err != nil {
		c.logger.Info("not unregistered; the lease will end by itself", "url", s.base.String(), "address", addr, "error", err)
	}
}

// messageOf returns what an error's answer says, in a form that a log line can hold.
func messageOf(body []byte) string {
	var a errorAnswer
	if json.Unmarshal(body, &a) != nil || a.Error.Code == "" {
		return ""
	}
	return fmt.Sprintf(": %+.40q: %+.200q", a.Error.Code, a.Error.Message)
}
