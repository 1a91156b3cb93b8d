package conf

import (
	"context"
	"strings"
)

// The limits of one call of a storage's Commit, if it has several sets.
const (
	MaxCommitChanges = 10 * MaxChanges
	MaxCommitBytes   = MaxSetBytes
)

// Batch is a run of changes.
type Batch struct {
	Changes  []Change
	Position Position // after the last of Changes, or the position asked from if there are none
	Head     Position // the newest position of the storage
}

// ScanRequest asks a storage for a page of current entries. A storage gets only names
// that a server has resolved: it knows no default namespace, and has no access rules.
// So here an empty Namespace stands for all, unlike in a [ListRequest].
type ScanRequest struct {
	Namespace string // "" for all, also the system's
	Group     string // "" for all
	Prefix    string // of the data id
	After     Key    // the last key of the previous page, or zero for the first page
	Limit     int    // entries in a page, at least 1
	Contents  bool   // without it Entry.Content is empty
}

// Matches reports whether k is within the namespace, group and prefix of the request.
func (r *ScanRequest) Matches(k Key) bool {
	return (r.Namespace == "" || k.Namespace == r.Namespace) &&
		(r.Group == "" || k.Group == r.Group) &&
		strings.HasPrefix(k.DataID, r.Prefix)
}

// Page is one page of a scan.
type Page struct {
	Entries  []Entry
	More     bool // there is another page, after the last key of this one
	Position Position
}

// feedKey is the context key of [FeedRead].
type feedKey struct{}

// FeedRead reports whether a read is one of the server's feed, on which all clients and
// all publishers of the server depend. A storage with few connections keeps some for such
// reads and for commits, so that the reads of single callers, however many and however
// slow, never delay them.
func FeedRead(ctx context.Context) bool { return ctx.Value(feedKey{}) != nil }

// ReadForFeed returns a context for a read by the feed; see [FeedRead].
func ReadForFeed(ctx context.Context) context.Context {
	return context.WithValue(ctx, feedKey{}, true)
}

// freshKey is the context key of [FreshRead].
type freshKey struct{}

// FreshRead reports whether the storage should read over a new connection, or in a new
// snapshot, because its last reads did not show what is known to be committed. A storage
// whose reads always show all commits need not look at it.
func FreshRead(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }

// ReadFresh returns a context for a read over a new connection; see [FreshRead].
func ReadFresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}
