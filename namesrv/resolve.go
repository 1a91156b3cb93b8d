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

	diamond "github.com/linnaname/gdiamond"
)

// grace is how long the other name servers have once one has answered.
const grace = 500 * time.Millisecond

// Resolve returns the servers, as host:port in alphabetical order: all that any
// name server has in its last good list.
//
// It asks all name servers at once and waits for two seconds at most, half a
// second from the first good answer on. An empty list, a page of something else
// and no answer at all leave the last good list of that name server as it was,
// and to one of a name server that has just started only adds to it.
// Before there is any, the list on disk counts; see [WithCacheFile].
// ErrUnavailable: no list is known.
func (c *Client) Resolve(ctx context.Context) ([]string, error) {
	why := c.askAll(ctx)
	if servers := c.known(); len(servers) > 0 {
		c.cache.save(servers)
		return servers, nil
	}
	if servers := c.cache.load(); len(servers) > 0 {
		return servers, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("namesrv: resolve: %w", err)
	}
	return nil, &diamond.Error{Op: "resolve", Err: diamond.ErrUnavailable, Detail: "no server is known: " + why}
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

// askAll asks all name servers, and returns what went wrong, in words.
func (c *Client) askAll(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	enough := sync.OnceFunc(func() { time.AfterFunc(grace, cancel) })
	failures := make([]string, len(c.sources))
	var wg sync.WaitGroup
	for i, s := range c.sources {
		wg.Go(func() {
			if err := c.ask(ctx, s); err != nil {
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
	errUnknown = errors.New("it has started a moment ago, and knows of no server yet")
)

// ask brings s up to date with what its name server says.
func (c *Client) ask(ctx context.Context, s *source) error {
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
	c.report(s, &s.askFails, err)
	if err != nil {
		return err
	}
	s.take(list, number)
	return nil
}

// take takes a good list, the answer to the request of that number. Client.mu is held.
func (s *source) take(list servers, number int64) {
	// Answers may overtake each other, or come from a cache in between. Versions
	// order those of one lifetime; of two lifetimes that which was asked for later counts.
	if list.instance != "" && list.instance == s.instance {
		if list.version < s.version {
			return
		}
	} else if number < s.asked {
		return
	}
	if list.incomplete {
		// It has forgotten servers that are alive. They stay until it must know them.
		if all := union(s.servers, list.addrs); len(all) <= MaxServers {
			list.addrs = all
		}
	}
	s.instance, s.version, s.asked, s.servers = list.instance, list.version, number, list.addrs
}

// fetch gets a list: in the native form, or as text from a name server that has only that.
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
