package storage

import "time"

// Retention says how much history a storage keeps. History is two windows: a
// log of all changes without gaps, and the versions of each key.
//
// A change leaves the log when it is older than Age and more than Changes newer
// ones are kept, and, whatever these two say, when the sets after its own have
// Bytes of content. A version that has left the log goes when Versions newer ones
// of its key are kept, or when its key was deleted by a change that has left
// the log too. The value that a key has now never goes.
//
// So the two counts and Bytes hold whatever the clock says: one that jumps ahead
// makes everything old, and no more than that. And Bytes bounds the log alone: who
// publishes much to one key takes no versions from another. Beside the log, the
// versions of a key are Versions at most.
type Retention struct {
	Age      time.Duration // 0 = 30 days
	Versions int           // of a key, its current value among them; 0 = 100
	Changes  int           // in the log; 0 = 100,000
	Bytes    int64         // of contents in the log, and at most those of one set more; 0 = no bound
}

// What a zero field of a [Retention] stands for.
const (
	DefaultAge      = 30 * 24 * time.Hour
	DefaultVersions = 100
	DefaultChanges  = 100_000
)

// OrDefaults returns r with zero and negative fields replaced by the defaults.
func (r Retention) OrDefaults() Retention {
	if r.Age <= 0 {
		r.Age = DefaultAge
	}
	if r.Versions <= 0 {
		r.Versions = DefaultVersions
	}
	if r.Changes <= 0 {
		r.Changes = DefaultChanges
	}
	r.Bytes = max(r.Bytes, 0)
	return r
}

// Full reports whether a log is full without a set, and without all before it:
// those after it have so many bytes of content.
func (r Retention) Full(bytes int64) bool { return r.Bytes > 0 && bytes >= r.Bytes }

// Verdict says what the time of the oldest change of a log proves.
type Verdict int

// The verdicts.
const (
	Keep   Verdict = iota // it is younger than Age
	Drop                  // it is older
	Unsure                // it is from the future: a clock was wrong, and the next change decides
)

// Judge says whether a change committed at t is older than Age at now. The
// count of newer changes and [Retention.Full] are for the caller to hold up.
func (r Retention) Judge(t, now time.Time) Verdict {
	switch age := now.Sub(t); {
	case age < 0:
		return Unsure
	case age <= r.Age:
		return Keep
	}
	return Drop
}

// Outdated reports whether a version may go that has left the log: number of
// newest counted from 1 for each key, deleted with a tombstone that has left the log too.
func (r Retention) Outdated(number, newest int64, gone bool) bool {
	return gone || newest-number >= int64(r.Versions)
}

// RequestIDFloor is of how many newest revisions the request ids stay whatever
// the clock says.
const RequestIDFloor = 10_000

// RequestExpired reports whether the id of a set committed as revision at t may be forgotten.
func RequestExpired(revision int64, t time.Time, head int64, now time.Time) bool {
	return head-revision >= RequestIDFloor && now.Sub(t) > RequestIDAge
}
