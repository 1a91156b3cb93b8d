package storage

import "time"

// Retention sets how much history a storage keeps. History has two parts: a log of all
// changes without gaps, and the versions of each key.
//
// A change leaves the log when it is older than Age and at least Changes newer ones are
// kept. Regardless of these two, it also leaves when the sets after its own have Bytes of
// content. A version that has left the log is removed when Versions newer versions of its
// key are kept, or when its key was deleted by a change that has left the log too. The
// current value of a key is never removed.
//
// The two counts and Bytes do not depend on the clock. A clock that jumps ahead makes
// everything old, but the counts still hold. Bytes limits only the log: many publishes to
// one key do not remove versions of another. Apart from the log, a key has at most
// Versions versions.
type Retention struct {
	Age      time.Duration // of changes in the log; 0 means 30 days
	Versions int           // of a key, including its current value; 0 means 100
	Changes  int           // in the log; 0 means 100,000
	Bytes    int64         // of contents in the log, plus at most one set; 0 means no limit
}

// The defaults for zero fields of a [Retention].
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

// Full reports whether a log is full without a set and all sets before it. bytes is the
// size of the contents after that set.
func (r Retention) Full(bytes int64) bool { return r.Bytes > 0 && bytes >= r.Bytes }

// Verdict is the result of [Retention.Judge] for the oldest change of a log.
type Verdict int

// The verdicts.
const (
	Keep   Verdict = iota // the change is younger than Age
	Drop                  // the change is older than Age
	Unsure                // its time is in the future because a clock was wrong; the next change decides
)

// Judge reports whether a change committed at t is older than Age at now. The caller
// must check the count of newer changes and [Retention.Full].
func (r Retention) Judge(t, now time.Time) Verdict {
	switch age := now.Sub(t); {
	case age < 0:
		return Unsure
	case age <= r.Age:
		return Keep
	}
	return Drop
}

// Outdated reports whether a version that has left the log may be removed. number is its
// number among the versions of its key, counted from 1, and newest that of the newest
// version. gone is set if the key was deleted and its tombstone has left the log too.
func (r Retention) Outdated(number, newest int64, gone bool) bool {
	return gone || newest-number >= int64(r.Versions)
}

// RequestIDFloor is the number of newest revisions whose request ids are kept regardless
// of the clock.
const RequestIDFloor = 10_000

// RequestExpired reports whether the request id of a set committed as revision at t may
// be forgotten.
func RequestExpired(revision int64, t time.Time, head int64, now time.Time) bool {
	return head-revision >= RequestIDFloor && now.Sub(t) > RequestIDAge
}
