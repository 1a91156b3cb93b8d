package conf

import (
	"time"
)

// ServerStatus is a server's state at one moment.
type ServerStatus struct {
	Ready    bool     // reads can be served
	Draining bool     // Drain was called
	Position Position // up to which the server has all changes

	// Storage is why the storage cannot be read or written, as far as is known;
	// nil: it can. A commit that it failed counts until one succeeds, or the
	// storage has been read for a minute since; where the reason is ErrNoSpace,
	// which no read meets, until one succeeds.
	Storage     error
	WriteErr    error     // why the storage failed the last commit, however long ago; nil: it did not
	WriteFailed time.Time // when that was
	// Stale is for how long the server has not been able to confirm with its
	// storage, counted from its own start at the earliest; 0: it has.
	Stale     time.Duration
	Confirmed time.Time // when it last did; zero: not since the server was made
	// Lag is for how long the server has known of a commit that its storage does
	// not show it; 0: there is none. Stalled: for so long that this is reported.
	Lag     time.Duration
	Stalled bool
	Replica *ReplicaStatus // of the copy on disk; nil: none is kept
	// Divergent is how many keys the last check of the server against its storage
	// found to differ; see the option WithSelfCheck. CheckErr is why the last one could not
	// be completed; nil: it was, or there was none.
	Divergent int
	CheckErr  error

	Keys      int   // with an entry
	Waiters   int   // parked polls and watches
	SetKeys   int64 // keys of all key sets that clients poll; see the option WithSetKeys
	Inflight  int   // commits being waited for
	CacheSize int64 // bytes of content held in memory

	Counters  ServerCounters
	Listeners ListenerCounts
}

// ServerCounters count since the server was made.
type ServerCounters struct {
	// Change sets by outcome. Canceled are those whose caller left before they
	// were taken up: nothing was done.
	Committed, Conflict, Refused, Failed, Unknown, Shed, Canceled uint64

	// Polls by answer. PollFailed are those that ended in another error.
	PollChanged, PollTimeout, PollCanceled, PollShed, PollDrained, PollResync, PollFailed uint64

	Wakeups               uint64 // waiters told of a change: grows by the waiters of the changed keys only
	CacheHits, CacheLoads uint64 // contents found in memory, contents loaded from the storage
	StorageErrors         uint64
	Forks                 uint64 // changes of epoch seen
	FeedGaps, FeedStalls  uint64 // times that the storage did not show what must be there: in between, at the end
	Checks, Divergences   uint64 // completed checks of the server against its storage, and differences found
	CheckFailures         uint64 // checks that could not be completed
}

// ListenerCounts count what clients have reported, over the last minutes: one
// for each client and key.
type ListenerCounts struct {
	InSync   int // applied the present revision
	Pending  int // applied an earlier one
	Rejected int // rejected the present revision
}

// ReplicaStatus is the state of a server's copy of its storage.
type ReplicaStatus struct {
	Position Position // that the copy has reached; zero: it holds nothing of use
	Err      error    // why it could not be read or written last; nil: it could
	Failures uint64   // attempts to write it that failed
	Installs uint64   // times that it was made anew
}
