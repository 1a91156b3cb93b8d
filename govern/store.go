package govern

import (
	"context"
	"errors"
	"strings"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// systemAuthor is the author of what the program itself commits. No principal can have the
// name, because theirs have a kind.
const systemAuthor = "system"

// surveyPage is the number of entries in a page of a survey.
const surveyPage = 1000

// stored is a document of a storage with the revision of its entry, or revision 0 if there
// is none and doc is empty.
type stored[D Document] struct {
	doc      D
	revision int64
}

// readDocument reads the document of the key of empty from a storage.
func readDocument[D Document](ctx context.Context, store diamond.Storage, empty D) (stored[D], error) {
	key := empty.Key()
	entry, err := store.Read(ctx, key, 0)
	if errors.Is(err, conf.ErrNotFound) {
		return stored[D]{doc: empty}, nil
	}
	if err != nil {
		return stored[D]{}, err
	}
	doc, err := ParseDocument(key, entry.Content)
	if err != nil {
		return stored[D]{}, err
	}
	return stored[D]{doc.(D), entry.Revision}, nil
}

// commitDirectly commits one set to a storage, past all servers. They find it as they find
// the commits of each other.
func commitDirectly(ctx context.Context, store diamond.Storage, set conf.ChangeSet) (conf.Position, error) {
	set.Caller = conf.Caller{Principal: conf.Principal{Name: systemAuthor}}
	results, err := store.Commit(ctx, []conf.ChangeSet{set})
	if err != nil {
		return conf.Position{}, err
	}
	return results[0].Position, results[0].Err
}

// survey is what a storage has, as far as a set-up needs to know it.
type survey struct {
	position   conf.Position
	used       []string        // the namespaces that have keys, sorted, without the system's
	registered map[string]bool // the namespaces that have a document
}

// takeSurvey looks through all keys of a storage. What others commit meanwhile may be
// missing.
func takeSurvey(ctx context.Context, store diamond.Storage) (survey, error) {
	s := survey{registered: map[string]bool{}}
	req := conf.ScanRequest{Limit: surveyPage}
	for {
		page, err := store.Scan(ctx, req)
		if err != nil {
			return survey{}, err
		}
		s.position = page.Position
		for i := range page.Entries {
			s.add(page.Entries[i].Key)
		}
		if !page.More || len(page.Entries) == 0 {
			return s, nil
		}
		req.After = page.Entries[len(page.Entries)-1].Key
	}
}

func (s *survey) add(key conf.Key) {
	switch {
	case key.Namespace == SystemNamespace && key.Group == KindNamespace:
		s.registered[key.DataID] = true
	case strings.HasPrefix(key.Namespace, "_"):
	case len(s.used) == 0 || s.used[len(s.used)-1] != key.Namespace: // keys come sorted
		s.used = append(s.used, key.Namespace)
	}
}

// missing returns the namespaces that need a document and have none: those with keys, and
// the default one.
func (s *survey) missing() (ids []string) {
	if !s.registered[conf.DefaultNamespace] {
		ids = append(ids, conf.DefaultNamespace)
	}
	for _, id := range s.used {
		if id != conf.DefaultNamespace && !s.registered[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// ReadMarker reads the marker of a store, and reports whether there is one: whether the store
// is governed. Errors are those of [diamond.Storage]; one that wraps ErrUnavailable may have a
// [LaterFormat].
func ReadMarker(ctx context.Context, store diamond.Storage) (Marker, bool, error) {
	have, err := readDocument(ctx, store, &Marker{})
	if err != nil || have.revision == 0 {
		return Marker{}, false, err
	}
	return *have.doc, true, nil
}
