package admin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// Client is what this package needs of a [diamond.Client].
type Client interface {
	Peek(ctx context.Context, key diamond.Key) (diamond.Config, error)
	List(ctx context.Context, req diamond.ListRequest) iter.Seq2[diamond.Entry, error]
	Commit(ctx context.Context, set diamond.ChangeSet) (diamond.Position, error)
}

// Read returns the document that has the kind and the name of named, such as
// &govern.Tenant{Name: "pay"}, and its revision. If there is none, it fails with
// [conf.ErrNotFound]. Of named only the kind and the name count. Other errors are those of
// the client, and those of [govern.ParseDocument].
func Read[D govern.Document](ctx context.Context, client Client, named D) (doc D, revision int64, err error) {
	key := named.Key()
	if _, err := govern.NewDocument(key); err != nil {
		return doc, 0, conf.WithOp("read document", key, err)
	}
	config, err := client.Peek(ctx, key)
	if err == nil && config.Deleted {
		err = &conf.Error{Op: "read document", Key: key, Err: conf.ErrNotFound}
	}
	if err != nil {
		return doc, 0, err
	}
	doc, err = parse[D](config.Entry)
	return doc, config.Revision, err
}

func parse[D govern.Document](entry diamond.Entry) (doc D, err error) {
	parsed, err := govern.ParseDocument(entry.Key, entry.Content)
	if err != nil {
		return doc, conf.WithOp("read document", entry.Key, err)
	}
	doc, ok := parsed.(D)
	if !ok { // the type parameter was Document, or the key was not that of a D
		return doc, conf.WithOp("read document", entry.Key, conf.Invalidf("document: is a %T", parsed))
	}
	return doc, nil
}

// Stored is a document with the revision at which it was written.
type Stored struct {
	Document govern.Document
	Revision int64
}

// List yields the documents of a kind that the caller may read, by name. It ends with the
// first error.
func List(ctx context.Context, client Client, kind string) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		req := diamond.ListRequest{Namespace: govern.SystemNamespace, Group: kind, Contents: true, Limit: conf.MaxPage}
		for entry, err := range client.List(ctx, req) {
			var stored Stored
			if err == nil {
				stored.Revision = entry.Revision
				stored.Document, err = parse[govern.Document](entry)
			}
			if !yield(stored, err) || err != nil {
				return
			}
		}
	}
}

// Options go with a change.
type Options struct {
	Comment string // the reason, for the history; as in [diamond.ChangeSet]
	Origin  string // the kind of program that makes the change; as in [diamond.ChangeSet]
	Force   bool   // pass guards; as in [diamond.ChangeSet]
}

// attempts is the number of times that Update reads and writes a document that others
// change at the same time.
const attempts = 10

// Update changes the document that has the kind and the name of named. It reads the
// document, lets change modify it, and commits the result on the condition that nobody
// changed the document meanwhile. If somebody did, it begins again, up to 10 times, so
// change may be called more than once. If there is no document, change gets a copy of
// named, and exists is false. Fields that this program does not know are kept. An error of
// change ends the update. Where change leaves the document as it is, nothing is committed,
// and the position is zero.
//
// Errors wrap those of the client;
// [conf.ErrInvalid] for a document that breaks a rule, which is not sent; and
// [conf.ErrConflict] if others changed the document each time. Update does not change
// named.
func Update[D govern.Document](ctx context.Context, client Client, named D, how Options, change func(doc D, exists bool) error) (diamond.Position, error) {
	pause := backoff.Backoff{Base: 50 * time.Millisecond, Cap: time.Second}
	for attempt := 1; ; attempt++ {
		set, err := edit(ctx, client, named, change)
		if err != nil || set.Len() == 0 {
			return diamond.Position{}, err
		}
		set.Comment, set.Origin, set.Force = how.Comment, how.Origin, how.Force
		position, err := client.Commit(ctx, set)
		if err == nil || attempt == attempts || !moved(&set, err) {
			return position, err
		}
		if ended := pause.Wait(ctx, 0); ended != nil {
			return diamond.Position{}, fmt.Errorf("%w (%w)", err, ended)
		}
	}
}

// edit returns the set that changes a document, or one without changes.
func edit[D govern.Document](ctx context.Context, client Client, named D, change func(doc D, exists bool) error) (set diamond.ChangeSet, err error) {
	doc, revision, err := Read(ctx, client, named)
	exists := err == nil
	before := ""
	switch {
	case exists:
		if before, err = govern.Encode(doc); err != nil {
			return set, err
		}
	case errors.Is(err, conf.ErrNotFound):
		empty, err := govern.NewDocument(named.Key())
		if err != nil {
			return set, err
		}
		doc = empty.(D) // a Document is of the type that its kind has
	default:
		return set, err
	}
	if err := change(doc, exists); err != nil {
		return set, err
	}
	draft, err := govern.Draft(doc, revision)
	if err != nil || exists && draft.Content == before {
		return set, err
	}
	set.Drafts = []diamond.Draft{draft}
	return set, nil
}

// moved reports whether err is a conflict over the one condition of set: its document is
// not at the revision at which it was read.
func moved(set *diamond.ChangeSet, err error) bool {
	var e *conf.Error
	if !errors.Is(err, conf.ErrConflict) || !errors.As(err, &e) {
		return false
	}
	return e.Key == set.Drafts[0].Key && e.Current != *set.Drafts[0].IfRevision
}
