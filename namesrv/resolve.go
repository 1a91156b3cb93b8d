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
// and no answer at all leave the last good list of that name server as it was.
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
	var servers []string
	for _, s := range c.sources {
		servers = append(servers, s.servers...)
	}
	slices.Sort(servers)
	return slices.Compact(servers)
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

var errEmpty = errors.New("it names no server")

// ask brings s up to date with what its name server says.
func (c *Client) ask(ctx context.Context, s *source) error {
	c.mu.Lock()
	c.started++
	number := c.started
	c.mu.Unlock()

	instance, version, servers, err := c.fetch(ctx, s)
	if err == nil && len(servers) == 0 {
		err = errEmpty
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report(s, &s.askFails, err)
	if err != nil {
		return err
	}
	// Answers may overtake each other, or come from a cache in between. Versions
	// order those of one lifetime; of two lifetimes that which was asked for later counts.
	if instance != "" && instance == s.instance {
		if version < s.version {
			return nil
		}
	} else if number < s.asked {
		return nil
	}
	s.instance, s.version, s.asked, s.servers = instance, version, number, servers
	return nil
}

// fetch gets a list: in the native form, or as text from a name server that has only that.
func (c *Client) fetch(ctx context.Context, s *source) (instance string, version int64, servers []string, err error) {
	body, mediaType, err := c.call(ctx, http.MethodGet, s.base.JoinPath("v1", "servers"))
	if err == nil {
		if mediaType != "application/json" {
			return "", 0, nil, fmt.Errorf("an answer of type %.100q", mediaType)
		}
		return decodeList(body)
	}
	if !errors.Is(err, errNotFound) {
		return "", 0, nil, err
	}
	if body, _, err = c.call(ctx, http.MethodGet, s.base.JoinPath("namesrv", "addrs")); err != nil {
		return "", 0, nil, err
	}
	servers, err = parseAddrs(string(body))
	return "", 0, servers, err
}
