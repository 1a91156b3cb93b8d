package govern

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// List implements diamond.Transport. It gives the entries that the caller may list. Those
// that it may not read have neither MD5 nor Size, Meta or Content. A page with More has at
// least one entry, whatever the caller may not see in between. A list of all namespaces leaves
// those out about which nothing can be decided, because a document cannot be read, and is
// Partial then.
func (c *Centre) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	resp, err := c.list(ctx, req)
	if err != nil {
		return nil, engine.AnswerError(ctx, "list", conf.Key{}, err)
	}
	return resp, nil
}

func (c *Centre) list(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	filter := conf.Filter{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}
	if err := c.mayFilter(ctx, claim{req.Seen, reachTime}, VerbList, filter); err != nil {
		return nil, err
	}
	limit, err := conf.PageLimit(req.Limit)
	if err != nil {
		return nil, err
	}
	if req.After != (conf.Key{}) {
		if err := req.After.Canonical().Validate(); err != nil {
			return nil, err
		}
	}
	for {
		a := c.access(ctx) // before it is decided: if the rights change after this, a is void
		if err := c.mayFilter(ctx, claim{}, VerbList, filter); err != nil {
			return nil, err
		}
		l := newListing(c, a, req, limit)
		if err := l.fill(ctx); err != nil {
			return nil, err
		}
		if isClosed(a.void) { // while the pages were read
			continue
		}
		resp := l.resp
		resp.Position = c.judge.sealer().seal(resp.Position)
		return &resp, nil
	}
}

// listing makes one page of what a caller may list, from pages of the server.
type listing struct {
	centre *Centre
	access *access
	ask    conf.ListRequest // for the next page of the server
	limit  int
	bytes  int64 // of the contents in resp
	resp   conf.ListResponse
	begun  bool // resp has a position
}

func newListing(c *Centre, a *access, req *conf.ListRequest, limit int) *listing {
	l := &listing{centre: c, access: a, ask: *req, limit: limit}
	if l.ask.After != (conf.Key{}) {
		l.ask.After = l.ask.After.Canonical()
	}
	return l
}

// fill fills the page from all namespaces that it is of.
func (l *listing) fill(ctx context.Context) error {
	for namespace := range l.namespaces() {
		if full, err := l.fillFrom(ctx, namespace); err != nil || full {
			return err
		}
	}
	if l.begun {
		return nil
	}
	at, err := l.centre.here(ctx, l.ask.Seen)
	l.resp.Position = at
	return err
}

// namespaces yields the namespaces of the page, in order, from that of the last key of the
// page before.
func (l *listing) namespaces() iter.Seq[string] {
	return func(yield func(string) bool) {
		if l.ask.Namespace != conf.AllNamespaces {
			yield((conf.Key{Namespace: l.ask.Namespace}).Canonical().Namespace)
			return
		}
		after := l.ask.After
		for _, namespace := range l.centre.door.Namespaces() { // those that have keys
			if namespace < after.Namespace || strings.HasPrefix(namespace, "_") {
				continue
			}
			if l.access.undecided(namespace) {
				l.resp.Partial = true
				continue
			}
			if !l.access.mayIn(VerbList, namespace, l.ask.Group) {
				continue
			}
			if l.ask.Namespace = namespace; namespace != after.Namespace {
				l.ask.After = conf.Key{}
			}
			if !yield(namespace) {
				return
			}
		}
	}
}

// fillFrom adds entries of a namespace, and reports whether the page is full.
func (l *listing) fillFrom(ctx context.Context, namespace string) (full bool, err error) {
	ask := l.ask
	whole, prefixes := l.access.within(VerbList, namespace)
	if !whole && len(prefixes) > 0 {
		ask.After = later(ask.After, lastBefore(namespace, prefixes[0]))
	}
	for more := true; more; {
		ask.Limit = l.limit - len(l.resp.Entries)
		if ask.Limit == 0 {
			ask.Limit = 1 // to see whether there is more
		}
		if !whole || namespace == SystemNamespace { // much may be hidden in between
			ask.Limit = max(ask.Limit, conf.DefaultPage)
		}
		page, err := l.centre.door.List(ctx, &ask)
		if err != nil {
			return false, err
		}
		if l.begun && page.Position != l.resp.Position && len(l.resp.Entries) > 0 {
			l.resp.More = true // a page is of one position
			return true, nil
		}
		l.begun, l.resp.Position, l.resp.Stale = true, page.Position, page.Stale
		for i := range page.Entries {
			if full = l.add(&page.Entries[i]); full {
				return true, nil
			}
		}
		if more = page.More; more {
			ask.After = page.Entries[len(page.Entries)-1].Key
			if !whole && len(prefixes) > 0 {
				if ask.After, more = nextAllowed(namespace, prefixes, ask.After); !more {
					return false, nil
				}
			}
		}
	}
	return false, nil
}

// add adds an entry as the caller may see it, if it may. It reports whether the page is full
// without it.
func (l *listing) add(e *conf.Entry) (full bool) {
	if !l.access.may(VerbList, e.Key) {
		return false
	}
	given, size := *e, int64(0)
	if l.access.may(VerbRead, e.Key) {
		if l.ask.Contents {
			size = e.Size
		}
	} else {
		given.MD5, given.Size, given.Meta, given.Content = "", 0, nil, ""
	}
	if n := len(l.resp.Entries); n == l.limit || n > 0 && l.bytes+size > conf.InlineTotal {
		l.resp.More = true
		return true
	}
	l.resp.Entries = append(l.resp.Entries, given)
	l.bytes += size
	return false
}

// later returns the later of two keys.
func later(a, b conf.Key) conf.Key {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

// nextAllowed returns the key after which to go on in a namespace of which only groups with
// some prefixes may be listed, given the last key that was seen, and whether there is more.
func nextAllowed(namespace string, prefixes []string, seen conf.Key) (after conf.Key, more bool) {
	i, _ := slices.BinarySearchFunc(prefixes, seen.Group, func(prefix, group string) int {
		if strings.HasPrefix(group, prefix) {
			return 0
		}
		return strings.Compare(prefix, group)
	})
	if i == len(prefixes) {
		return seen, false
	}
	return later(seen, lastBefore(namespace, prefixes[i])), true
}

// The bytes of names, in order.
const nameBytes = "-.0123456789:ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// lastBefore returns a key of namespace before all groups that begin with prefix, and after
// nearly all groups before those. It is zero if there is none. The request for a page has no
// other way to say where to begin.
func lastBefore(namespace, prefix string) conf.Key {
	last := prefix[len(prefix)-1]
	group := prefix[:len(prefix)-1]
	if i := strings.IndexByte(nameBytes, last); i > 0 {
		group += nameBytes[i-1 : i]
		group += strings.Repeat("z", conf.MaxGroup-len(group))
	}
	if group == "" || group == "." || group == ".." {
		return conf.Key{} // and what comes before is filtered
	}
	return conf.Key{Namespace: namespace, Group: group, DataID: strings.Repeat("z", conf.MaxDataID)}
}
