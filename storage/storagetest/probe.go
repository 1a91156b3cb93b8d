package storagetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// probe is the fixture of a case: a fresh store, and short methods to use it.
type probe struct {
	*testing.T
	*suite
	store diamond.Storage
}

// key returns the key of a data id in the default namespace and group.
func key(dataID string) conf.Key { return conf.NewKey("", dataID) }

// put returns a set that publishes one value.
func put(dataID, content string) conf.ChangeSet {
	return conf.ChangeSet{Drafts: []conf.Draft{{Key: key(dataID), Content: content}}}
}

// putIf returns a set that publishes one value if the key is at revision.
func putIf(dataID, content string, revision int64) conf.ChangeSet {
	set := put(dataID, content)
	set.Drafts[0].IfRevision = &revision
	return set
}

// del returns a set that deletes one key.
func del(dataID string) conf.ChangeSet {
	return conf.ChangeSet{Deletes: []conf.Delete{{Key: key(dataID)}}}
}

// try commits sets in one call.
func (p *probe) try(sets ...conf.ChangeSet) []conf.Result {
	p.Helper()
	results, err := p.store.Commit(p.Context(), sets)
	require.NoError(p, err)
	require.Len(p, results, len(sets), "one result for each set")
	return results
}

// commit commits one set in one call, which must succeed.
func (p *probe) commit(set conf.ChangeSet) conf.Position {
	p.Helper()
	r := p.try(set)[0]
	require.NoError(p, r.Err)
	return r.Position
}

// refused commits one set, which must fail with sentinel and change nothing.
func (p *probe) refused(sentinel error, set conf.ChangeSet) *conf.Error {
	p.Helper()
	before := p.head()
	r := p.try(set)[0]
	require.ErrorIs(p, r.Err, sentinel)
	require.Zero(p, r.Position, "the position of a set that failed")
	require.Equal(p, before, p.head(), "a set that failed must change nothing")
	var e *conf.Error
	require.ErrorAs(p, r.Err, &e)
	return e
}

// head returns the store's head.
func (p *probe) head() conf.Position {
	p.Helper()
	page, err := p.store.Scan(p.Context(), conf.ScanRequest{Limit: 1})
	require.NoError(p, err)
	return page.Position
}

// read returns the current entry of a data id.
func (p *probe) read(dataID string) conf.Entry {
	p.Helper()
	e, err := p.store.Read(p.Context(), key(dataID), 0)
	require.NoError(p, err)
	return e
}

// absent asserts that a data id has no entry.
func (p *probe) absent(dataID string) {
	p.Helper()
	_, err := p.store.Read(p.Context(), key(dataID), 0)
	require.ErrorIs(p, err, conf.ErrNotFound)
}

// all is a limit in bytes that no test reaches.
const all = 1 << 40

// changes returns all changes after a position.
func (p *probe) changes(after conf.Position) []conf.Change {
	p.Helper()
	changes, _ := follow(p, p.store, after, all)
	return changes
}

// follow reads the changes after a position to the head, in batches of
// maxBytes, and verifies the chain as every reader does.
func follow(t require.TestingT, s diamond.Storage, after conf.Position, maxBytes int64) ([]conf.Change, conf.Position) {
	var changes []conf.Change
	at := after
	for {
		b, err := s.Changes(contextOf(t), at, maxBytes)
		require.NoError(t, err)
		if len(b.Changes) == 0 {
			require.Equal(t, b.Head.Revision, at.Revision, "nothing follows, but it is not the head")
			return changes, b.Head
		}
		next, err := at.Follow(b.Changes)
		require.NoError(t, err, "whole sets, in order, without gaps, with their contents")
		require.Equal(t, b.Position.Chain, next.Chain, "the chain of what was returned")
		require.Equal(t, b.Position.Revision, next.Revision)
		changes, at = append(changes, b.Changes...), b.Position
	}
}

// scan returns all current entries, page by page.
func scan(t require.TestingT, s diamond.Storage, req conf.ScanRequest) []conf.Entry {
	var entries []conf.Entry
	for {
		page, err := s.Scan(contextOf(t), req)
		require.NoError(t, err)
		entries = append(entries, page.Entries...)
		if !page.More {
			return entries
		}
		require.Len(t, page.Entries, req.Limit, "a page with more after it is full")
		req.After = page.Entries[len(page.Entries)-1].Key
	}
}

// history returns all kept changes of a key.
func (p *probe) history(k conf.Key) []conf.Change {
	p.Helper()
	changes, err := p.store.History(p.Context(), k, 0, 1<<20)
	require.NoError(p, err)
	return changes
}
