package engine

import (
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
)

const (
	reportTTL        = 10 * time.Minute
	maxReports       = 200_000
	maxSourceReports = maxReports / 2

	// More than fewReports are counted at most once in recountAfter, because health pages
	// ask for the status all the time.
	fewReports   = 1000
	recountAfter = time.Second
)

// reports holds the last outcome that each client reported for each key, for
// reportTTL.
type reports struct {
	room *budget.Budget // reports, by source

	mu      sync.Mutex
	byKey   map[reportKey]reported // guarded by mu
	counts  conf.ListenerCounts    // guarded by mu
	counted time.Time              // guarded by mu: when counts was made
}

type reportKey struct {
	client unique.Handle[clientName]
	key    conf.Key
}

type reported struct {
	revision int64
	at       time.Time
	source   unique.Handle[string]
	reason   rejection
}

// rejection is why a client has rejected a value.
type rejection int8

const (
	appliedIt rejection = iota // it has not
	rejectedByError
	rejectedByPanic
)

// reasons are the words of reports.
var reasons = [...]string{rejectedByError: "error", rejectedByPanic: "panic"}

func newReports() *reports {
	return &reports{room: budget.New(maxReports, maxSourceReports), byKey: make(map[reportKey]reported)}
}

// add keeps the reports of a client of source. It returns false if there is no room for all of
// them.
func (r *reports) add(client clientName, source string, list []conf.Report) bool {
	by, from, now := unique.Make(client), unique.Make(source), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range list {
		k := reportKey{by, list[i].Key.Canonical()}
		if before, known := r.byKey[k]; !known || before.source != from {
			if !r.room.Take(source, 1) {
				return false
			}
			if known {
				r.room.Give(before.source.Value(), 1)
			}
		}
		r.byKey[k] = reported{list[i].Revision, now, from, rejection(slices.Index(reasons[:], list[i].Reason))}
	}
	return true
}

// of calls f for each report about a canonical key that has not expired.
func (r *reports) of(key conf.Key, f func(client clientName, report reported)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.byKey {
		if k.key == key && time.Since(v.at) < reportTTL {
			f(k.client.Value(), v)
		}
	}
}

// expire drops the reports that are older than reportTTL.
func (r *reports) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.byKey {
		if time.Since(v.at) >= reportTTL {
			delete(r.byKey, k)
			r.room.Give(v.source.Value(), 1)
		}
	}
}

// count compares the reports with the present records. A client that rejected an
// earlier revision is pending, like one that applied it.
func (r *reports) count(ix *index) conf.ListenerCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byKey) > fewReports && time.Since(r.counted) < recountAfter {
		return r.counts
	}
	var n conf.ListenerCounts
	for k, v := range r.byKey {
		present := ix.get(k.key)
		switch {
		case present == nil || present.deleted || time.Since(v.at) >= reportTTL:
		case v.revision != present.Revision:
			n.Pending++
		case v.reason == appliedIt:
			n.InSync++
		default:
			n.Rejected++
		}
	}
	r.counts, r.counted = n, time.Now()
	return n
}
