package namesrv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// grace is the time that the other name servers have once one has answered.
const grace = 500 * time.Millisecond

// Resolve returns the servers in the last good lists of all name servers, as host:port, or
// https://host:port if they speak TLS, in alphabetical order.
//
// It asks all name servers at once, and waits at most two seconds, or half a second from the
// first good answer on. An empty list, an answer that is not a list, or no answer leaves the
// last good list of that name server unchanged. The list of a name server that has just
// started is only added to it. Without any list, Resolve uses the list on disk; see
// [WithCacheFile]. The error is ErrUnavailable if there is no list at all.
func (c *Client) Resolve(ctx context.Context) ([]string, error) {
	why := c.askAll(ctx)
	if servers := c.known(); len(servers) > 0 {
		c.cache.save(servers)
		return c.usable(servers)
	}
	if servers := c.cache.load(); len(servers) > 0 {
		return c.usable(servers)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("namesrv: resolve: %w", err)
	}
	return nil, &conf.Error{Op: "resolve", Err: conf.ErrUnavailable, Detail: "no server is known: " + why}
}

// usable returns the servers of a list that the client may use, which is not empty. The error
// is ErrUnavailable.
func (c *Client) usable(servers []string) ([]string, error) {
	if !c.onlyTLS {
		return servers, nil
	}
	secure := slices.DeleteFunc(slices.Clone(servers), func(addr string) bool { return !strings.HasPrefix(addr, https) })
	plain := len(servers) - len(secure)
	c.mu.Lock()
	changed := plain != c.plain
	c.plain = plain
	c.mu.Unlock()
	if changed && plain > 0 {
		c.logger.Warn("servers without TLS are left out, because this client uses TLS", "servers", plain, "of", len(servers))
	}
	if len(secure) == 0 {
		return nil, &conf.Error{Op: "resolve", Err: conf.ErrUnavailable, Detail: fmt.Sprintf("none of the %d known servers speaks TLS, and this client uses no others", plain)}
	}
	return secure, nil
}

// known returns the union of the last good lists.
func (c *Client) known() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lists [][]string
	for _, s := range c.sources {
		lists = append(lists, s.servers)
	}
	return union(lists...)
}

// askAll asks all name servers, and returns a text with their errors.
func (c *Client) askAll(ctx context.Context) string {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	enough := sync.OnceFunc(func() { time.AfterFunc(grace, cancel) })
	failures := make([]string, len(c.sources))
	var wg sync.WaitGroup
	for i, s := range c.sources {
		wg.Go(func() {
			if err := c.ask(ctx, caller, s); err != nil {
				failures[i] = fmt.Sprintf("%s: %v", s.base, err)
				return
			}
			enough()
		})
	}
	wg.Wait()
	return strings.Join(slices.DeleteFunc(failures, func(s string) bool { return s == "" }), "; ")
}

var (
	errEmpty   = errors.New("it names no server")
	errUnknown = errors.New("it has just started and knows no server yet")
)

// ask updates s from its name server. An error that comes because caller was canceled is
// none of the name server, and not logged.
func (c *Client) ask(ctx, caller context.Context, s *source) error {
	c.mu.Lock()
	c.started++
	number := c.started
	c.mu.Unlock()

	list, err := c.fetch(ctx, s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		s.meet(list.instance)
	}
	switch {
	case err == nil && len(list.addrs) == 0 && list.incomplete:
		err = errUnknown
	case err == nil && len(list.addrs) == 0:
		err = errEmpty
	}
	if err != nil && errors.Is(caller.Err(), context.Canceled) {
		return err
	}
	c.report(s, &s.askFails, err)
	if err != nil {
		return err
	}
	s.take(list, number)
	return nil
}

// take adopts a good list, the answer to the request with the given number. Client.mu is
// held.
func (s *source) take(list servers, number int64) {
	// Answers may overtake each other, or come from a cache. Versions order the answers of
	// one instance. Of two instances, the one of the later request counts.
	if list.instance != "" && list.instance == s.instance {
		if list.version < s.version {
			return
		}
	} else if number < s.asked {
		return
	}
	if list.incomplete {
		// The name server does not know all live servers yet, so keep the earlier ones.
		if all := union(s.servers, list.addrs); len(all) <= MaxServers {
			list.addrs = all
		}
	}
	s.instance, s.version, s.asked, s.servers = list.instance, list.version, number, list.addrs
}

// fetch requests a list in the native form, or as text from a name server that has only that.
func (c *Client) fetch(ctx context.Context, s *source) (servers, error) {
	body, mediaType, err := c.call(ctx, s, http.MethodGet, s.base.JoinPath("v1", "servers"))
	if err == nil {
		if mediaType != "application/json" {
			return servers{}, fmt.Errorf("an answer of type %.100q", mediaType)
		}
		return decodeList(body)
	}
	if !errors.Is(err, errNotFound) {
		return servers{}, err
	}
	if body, _, err = c.call(ctx, s, http.MethodGet, s.base.JoinPath("namesrv", "addrs")); err != nil {
		return servers{}, err
	}
	addrs, err := parseAddrs(string(body))
	return servers{addrs: union(addrs)}, err
}
