package memstore

import (
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// requests remembers the outcomes of sets with a request id.
type requests struct {
	known map[requestKey]outcome
	order []requestKey // oldest first
}

type requestKey struct{ principal, id string }

type outcome struct {
	hash  [32]byte
	after conf.Position
	time  time.Time
}

func newRequests() requests { return requests{known: make(map[requestKey]outcome)} }

func keyOf(set *conf.ChangeSet) requestKey {
	return requestKey{set.Caller.Principal.Name, set.RequestID}
}

// find returns the first outcome of the request id of set. It is an error if the id
// belongs to another set.
func (r *requests) find(set *conf.ChangeSet) (conf.Position, bool, error) {
	if set.RequestID == "" {
		return conf.Position{}, false, nil
	}
	o, known := r.known[keyOf(set)]
	if known && o.hash != set.RequestHash() {
		return conf.Position{}, false, storage.RequestReused(set)
	}
	return o.after, known, nil
}

func (r *requests) add(set *conf.ChangeSet, after conf.Position, now time.Time) {
	if set.RequestID == "" {
		return
	}
	k := keyOf(set)
	r.known[k] = outcome{set.RequestHash(), after, now}
	r.order = append(r.order, k)
}

func (r *requests) prune(head int64, now time.Time) {
	n := 0
	for ; n < len(r.order); n++ {
		o := r.known[r.order[n]]
		if !storage.RequestExpired(o.after.Revision, o.time, head, now) {
			break
		}
		delete(r.known, r.order[n])
	}
	r.order = r.order[n:]
}
