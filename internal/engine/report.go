package engine

import (
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	reportTTL  = 10 * time.Minute
	maxReports = 200_000

	// More than fewReports are counted at most once in recountAfter, because health pages
	// ask for the status all the time.
	fewReports   = 1000
	recountAfter = time.Second
)

// reports holds the last outcome that each client reported for each key, for
// reportTTL.
type reports struct {
	mu      sync.Mutex
	byKey   map[reportKey]reported // guarded by mu
	counts  conf.ListenerCounts    // guarded by mu
	counted time.Time              // guarded by mu: when counts was made
}

type reportKey struct {
	client string
	key    conf.Key
}

type reported struct {
	revision int64
	applied  bool
	at       time.Time
}

func newReports() *reports { return &reports{byKey: make(map[reportKey]reported)} }

// add keeps the reports of a client. It returns false if there is no room for all of them.
func (r *reports) add(client string, list []conf.Report) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range list {
		k := reportKey{client, list[i].Key.Canonical()}
		if _, known := r.byKey[k]; !known && len(r.byKey) >= maxReports {
			return false
		}
		r.byKey[k] = reported{list[i].Revision, list[i].Applied, now}
	}
	return true
}

// expire drops the reports that are older than reportTTL.
func (r *reports) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.byKey {
		if time.Since(v.at) >= reportTTL {
			delete(r.byKey, k)
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
		case v.applied:
			n.InSync++
		default:
			n.Rejected++
		}
	}
	r.counts, r.counted = n, time.Now()
	return n
}
