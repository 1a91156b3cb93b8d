package conf

import (
	"context"
)

// What one call of a storage's Commit may have, where it has several sets.
const (
	MaxCommitChanges = 10 * MaxChanges
	MaxCommitBytes   = MaxSetBytes
)

// Batch is a run of changes.
type Batch struct {
	Changes  []Change
	Position Position // after the last of Changes, or the one asked from
	Head     Position // of the storage
}

// ScanRequest asks for a page of current entries.
type ScanRequest struct {
	Namespace string // "" = all
	Group     string // "" = all
	Prefix    string // of the data id
	After     Key    // the last key of the page before; zero: from the start
	Limit     int    // entries a page, at least 1
	Contents  bool   // with contents, else Entry.Content is empty
}

// Matches reports whether k is within the namespace, group and prefix asked for.
func (r *ScanRequest) Matches(k Key) bool {
	return matches(k, r.Namespace, r.Group, r.Prefix)
}

// Page is one page of a scan.
type Page struct {
	Entries  []Entry
	More     bool // ask again with After = the last key
	Position Position
}

func matches(k Key, namespace, group, prefix string) bool {
	return (namespace == "" || k.Namespace == namespace) &&
		(group == "" || k.Group == group) &&
		len(k.DataID) >= len(prefix) && k.DataID[:len(prefix)] == prefix
}

// feedKey is the context key of [FeedRead].
type feedKey struct{}

// FeedRead reports whether a storage is asked for what all clients of a server
// are served, and all publishers wait for: by its feed. A storage with few
// connections keeps some for such reads and for commits, so that the reads of
// single callers, however many and however slow, never hold them up.
func FeedRead(ctx context.Context) bool { return ctx.Value(feedKey{}) != nil }

// ReadForFeed returns a context for a read by the feed; see [FeedRead].
func ReadForFeed(ctx context.Context) context.Context {
	return context.WithValue(ctx, feedKey{}, true)
}

// freshKey is the context key of [FreshRead].
type freshKey struct{}

// FreshRead reports whether a storage is asked to read over a new connection,
// or in a new snapshot: what it has shown is older than what is known to be
// committed. A storage to which that means nothing need not look.
func FreshRead(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }

// ReadFresh returns a context for a read over a new connection; see [FreshRead].
func ReadFresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, freshKey{}, true)
}
