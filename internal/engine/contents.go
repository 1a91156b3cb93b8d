package engine

import (
	"container/list"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patrickmn/go-cache"
	"golang.org/x/sync/singleflight"

	"github.com/linnaname/gdiamond/conf"
)

const (
	contentTTL = time.Hour
	// contentOverhead is the memory in bytes that a cached content takes besides its own.
	contentOverhead = 512
	// A content larger than one part in contentShare of the budget is not cached.
	contentShare = 8

	// At most maxLoads contents are loaded at a time. At most maxLoadQueue more wait for
	// their turn, each for at most loadWait. This bounds the goroutines that a hanging
	// storage can hold.
	maxLoads     = 64
	maxLoadQueue = 2048
	loadWait     = time.Second
)

// contents is a cache of contents with a budget in bytes. When it is full it drops the
// content that has not been read for longest. It drops each content after an hour or two
// without a read.
//
// A record points to its cached content, so that a read takes no lock and builds no
// cache key. The go-cache below it gets no expirations, because it uses the wall clock:
// setting that clock would empty the cache.
type contents struct {
	budget  int64
	sources []source
	items   *cache.Cache // of *cachedContent
	loads   singleflight.Group
	turns   chan struct{} // one for each load under way
	queued  atomic.Int64  // loads that wait for their turn

	mu      sync.Mutex
	order   *list.List     // of *cachedContent; guarded by mu; see [contents.oldest]
	serial  uint64         // guarded by mu
	bytes   atomic.Int64   // of content; written under mu
	closed  bool           // guarded by mu
	running sync.WaitGroup // loads

	hits, loaded atomic.Uint64
}

// source reads an entry with its content. It has no context, because it reads for all
// callers that wait for this content.
type source func(key conf.Key, revision int64) (conf.Entry, error)

// newContents returns a cache that loads from sources, the nearest first.
func newContents(budget int64, sources ...source) *contents {
	c := &contents{
		budget:  budget,
		sources: sources,
		items:   cache.New(cache.NoExpiration, 0),
		turns:   make(chan struct{}, maxLoads),
		order:   list.New(),
	}
	c.items.OnEvicted(func(_ string, v any) { c.release(v.(*cachedContent)) })
	return c
}

// put caches the content of r, unless it is too large or cached already.
func (c *contents) put(r *record, content string) {
	if int64(len(content))+contentOverhead > c.budget/contentShare {
		return
	}
	h := &cachedContent{entry: r.Entry, record: r, placed: time.Now()}
	h.entry.Content = content

	c.mu.Lock()
	if r.cached.Load() != nil {
		c.mu.Unlock()
		return
	}
	// The serial number makes each key unique, because go-cache does not call OnEvicted
	// when it replaces an item: the bytes of the old one would be counted for ever.
	c.serial++
	h.key = contentKey(r) + "#" + strconv.FormatUint(c.serial, 10)
	h.element = c.order.PushBack(h)
	c.bytes.Add(int64(len(content)))
	c.items.SetDefault(h.key, h)
	r.cached.Store(h)
	over := c.surplus()
	c.mu.Unlock()
	for _, old := range over {
		c.items.Delete(old.key)
	}
}

// surplus returns the contents to drop, so that the others fit into the budget. The caller
// holds mu.
func (c *contents) surplus() (over []*cachedContent) {
	used := c.bytes.Load() + int64(c.order.Len())*contentOverhead
	for used > c.budget && len(over) < c.order.Len() {
		old := c.oldest()
		c.order.MoveToBack(old.element) // so that oldest finds another one; release removes it
		used -= int64(len(old.entry.Content)) + contentOverhead
		over = append(over, old)
	}
	return over
}

// oldest returns the first content in order that has not been read since it took its
// place. The ones before it have been read, and oldest moves them to the end. This is the
// clock algorithm: a read only sets a mark and moves nothing, so that it needs no lock.
// The caller holds mu, and order is not empty.
func (c *contents) oldest() *cachedContent {
	for range c.order.Len() {
		h := c.order.Front().Value.(*cachedContent)
		if !h.read.Swap(false) {
			return h
		}
		h.placed = time.Now()
		c.order.MoveToBack(h.element)
	}
	return c.order.Front().Value.(*cachedContent)
}

// drop drops the content of r if it is cached.
func (c *contents) drop(r *record) {
	if h := r.cached.Load(); h != nil {
		c.items.Delete(h.key)
	}
}

// expire drops contents that have not been read for too long.
func (c *contents) expire() {
	var gone []*cachedContent
	c.mu.Lock()
	for next := c.order.Front(); next != nil; {
		h := next.Value.(*cachedContent)
		next = next.Next()
		if time.Since(h.placed) < contentTTL {
			break // those after it took their places later
		}
		if h.read.Swap(false) {
			h.placed = time.Now()
			c.order.MoveToBack(h.element)
		} else {
			gone = append(gone, h)
		}
	}
	c.mu.Unlock()
	for _, h := range gone {
		c.items.Delete(h.key)
	}
}

// release is called once for each item that go-cache drops.
func (c *contents) release(h *cachedContent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.record.cached.Store(nil)
	c.order.Remove(h.element)
	c.bytes.Add(-int64(len(h.entry.Content)))
}

// get returns the entry of r with its content, from memory or else from a source. All who
// call it for a content at the same time share one load.
func (c *contents) get(ctx context.Context, r *record) (*conf.Entry, error) {
	if h := r.cached.Load(); h != nil {
		c.hits.Add(1)
		if !h.read.Load() { // a store by every reader would make processors wait for each other
			h.read.Store(true)
		}
		return &h.entry, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err // the caller has left: begin no load
	}
	loaded := c.loads.DoChan(contentKey(r), func() (any, error) {
		if !c.begin() {
			return nil, closedError()
		}
		defer c.running.Done()
		if err := c.turn(); err != nil {
			return nil, err
		}
		defer c.turned()
		c.loaded.Add(1)
		content, err := c.load(r)
		if err != nil {
			return nil, err
		}
		c.put(r, content)
		full := r.Entry
		full.Content = content
		return &full, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case res := <-loaded:
		if res.Err != nil {
			return nil, res.Err
		}
		return res.Val.(*conf.Entry), nil
	}
}

// load returns the content of r from the first source that has it. If none has it, the
// error is that of the last source.
func (c *contents) load(r *record) (content string, err error) {
	for _, read := range c.sources {
		var e conf.Entry
		if e, err = read(r.Key, r.Revision); err == nil {
			err = r.verify(&e)
		}
		if err == nil {
			return e.Content, nil
		}
	}
	return "", err
}

// turn waits until one more load may begin. The caller calls turned when its load ends.
func (c *contents) turn() error {
	select {
	case c.turns <- struct{}{}:
		return nil
	default:
	}
	defer c.queued.Add(-1)
	if c.queued.Add(1) > maxLoadQueue {
		return overloaded("%d contents wait to be loaded", maxLoadQueue)
	}
	timer := time.NewTimer(loadWait)
	defer timer.Stop()
	select {
	case c.turns <- struct{}{}:
		return nil
	case <-timer.C:
		return overloaded("%d contents are being loaded, and none was in %v", maxLoads, loadWait)
	}
}

// turned ends a turn.
func (c *contents) turned() { <-c.turns }

// begin counts a load that begins. It returns false if c is closed.
func (c *contents) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.running.Add(1)
	}
	return !c.closed
}

// close prevents further loads, and waits for those under way.
func (c *contents) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}

// contentKey names a content. The digest distinguishes two contents of the same revision,
// of which there can be two after a loss of history.
func contentKey(r *record) string {
	return r.Key.String() + "@" + strconv.FormatInt(r.Revision, 10) + "#" + r.MD5
}
