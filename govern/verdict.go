package govern

import (
	"slices"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// markerKey is the key of the marker. Its revision is 0 in an open store.
var markerKey = engine.Marker

// verdict is what was decided about a set that is permitted.
type verdict struct {
	access *access
	set    *conf.ChangeSet // with what the Centre writes into documents
	// doubtful says that the documents of the set were refused by what others say or do not
	// say, of which this server may have an older state.
	doubtful bool
	conditions
}

// judgeSet decides whether the principal may commit a canonical set, which is valid. Errors
// wrap ErrDenied or ErrUnavailable, or say what is wrong with a document.
func (a *access) judgeSet(set *conf.ChangeSet, used usage) (*verdict, error) {
	_, marker := a.policy.document(markerKey)
	v := &verdict{access: a, set: set}
	v.rest(conf.Check{Key: markerKey, Revision: marker}) // the mode by which is decided
	for key := range written(set) {
		if err := v.permit(VerbRelease, key); err != nil {
			return nil, err
		}
	}
	for i := range set.Checks {
		if err := v.permit(VerbRead, set.Checks[i].Key); err != nil {
			return nil, err
		}
	}
	return v, v.permitDocuments(used)
}

// permit decides about a key that is written or, with VerbRead, checked. About documents that
// are written decides permitDocuments.
func (v *verdict) permit(verb Verb, key conf.Key) error {
	a := v.access
	if err := a.ready(key.Namespace); err != nil {
		return err
	}
	if a.barred {
		return denied(verb, key)
	}
	switch document := key.Namespace == SystemNamespace && a.mode != conf.ModeOpen; {
	case document && verb == VerbRead:
		if d := a.policy.canDocument(a.principal, false, key, nil); d.allowed {
			v.rest(d.checks...)
			return nil
		}
	case document && a.policy.rights(a.principal).anywhere(VerbAdminister):
		return nil
	case document: // nobody else may write any, so that theirs need not be read
	case key.System():
	case a.mode == conf.ModeOpen:
		return nil
	default:
		d := a.policy.decide(a.principal, verb, key)
		if d.allowed {
			v.rest(d.checks...)
			return nil
		}
		if a.mode == conf.ModeObserve {
			a.wouldDeny(verb, key.Namespace)
			return nil
		}
	}
	return denied(verb, key)
}

// permitDocuments decides about the documents that the set writes, and stamps them.
func (v *verdict) permitDocuments(used usage) error {
	a, documents := v.access, false
	drafts := v.set.Drafts
	for i := range drafts {
		draft := &drafts[i]
		if draft.Key.Namespace != SystemNamespace {
			continue
		}
		if !documents {
			documents, drafts = true, slices.Clone(drafts)
			draft = &drafts[i]
		}
		fresh, invalid := ParseDocument(draft.Key, draft.Content)
		d := a.policy.canDocument(a.principal, true, draft.Key, fresh)
		if !d.allowed {
			return denied(VerbRelease, draft.Key)
		}
		if invalid != nil {
			return invalid
		}
		v.rest(d.checks...)
		if err := v.stamp(draft, fresh); err != nil {
			return err
		}
	}
	for i := range v.set.Deletes {
		key := v.set.Deletes[i].Key
		if key.Namespace != SystemNamespace {
			continue
		}
		documents = true
		d := a.policy.canDocument(a.principal, true, key, nil)
		if !d.allowed {
			return denied(VerbRelease, key)
		}
		v.rest(d.checks...)
	}
	if !documents {
		return nil
	}
	set := *v.set
	set.Drafts = drafts
	v.set = &set
	more, err := a.policy.checkDocuments(a.principal, v.set, v.set.Force, used, time.Now())
	if err != nil {
		v.doubtful = true
		return err
	}
	v.rest(more.checks...)
	v.touched = more.touched
	return nil
}

// stamp writes into a document what the Centre knows better than the caller. The document of a
// principal or a team gets the generation of the present epoch, so that a restored store shows
// which of them it may have brought back. A freeze gets the name of the principal that begins
// it, or that changes its reason. The set rests on what was stored, as checkDocuments says.
func (v *verdict) stamp(draft *conf.Draft, fresh Document) (err error) {
	policy := v.access.policy
	generation := policy.generation()
	switch d := fresh.(type) {
	case *Namespace:
		if d.Frozen == nil {
			return nil
		}
		d.Frozen.By = principalName(v.access.principal)
		if old := document[*Namespace](policy.get(KindNamespace, d.ID)); old != nil && old.Frozen != nil && old.Frozen.Reason == d.Frozen.Reason {
			d.Frozen.By = old.Frozen.By
		}
	case *Token:
		d.Generation = generation
	case *User:
		d.Generation = generation
	case *Team:
		d.Generation = generation
	default:
		return nil
	}
	draft.Content, err = Encode(fresh)
	return err
}

// keysOf returns the keys of a set that it writes or checks.
func keysOf(set *conf.ChangeSet) []conf.Key {
	keys := make([]conf.Key, 0, set.Len()+len(set.Checks))
	for i := range set.Drafts {
		keys = append(keys, set.Drafts[i].Key)
	}
	for i := range set.Deletes {
		keys = append(keys, set.Deletes[i].Key)
	}
	for i := range set.Checks {
		keys = append(keys, set.Checks[i].Key)
	}
	return keys
}
