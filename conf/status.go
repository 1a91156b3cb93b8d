package conf

import (
	"time"
)

// ServerStatus is the state of a server at one moment.
type ServerStatus struct {
	Ready  bool  // the server can serve reads
	Closed error // why the server serves nobody although it could: its store is governed; nil otherwise
	// Ungoverned says that the store is governed, and that the server was told to serve it
	// without regard to its rights.
	Ungoverned bool
	Draining   bool     // Drain was called
	Position   Position // up to which the server has all changes

	// Storage is the current error of the storage, or nil if the storage is usable. A
	// failed commit is reported until a commit succeeds, or until reads have succeeded for
	// a minute. ErrNoSpace is reported until a commit succeeds, because a full disk can
	// still be read.
	Storage     error
	WriteErr    error     // with which the storage failed the last commit, at any time, or nil if it did not
	WriteFailed time.Time // when WriteErr occurred
	// Stale is the time since the server last confirmed its state with the storage, or 0
	// if its state is current. Until the first confirmation it is the time since the
	// server was made.
	Stale     time.Duration
	Confirmed time.Time // of the last confirmation, or zero if there has been none since the server was made
	// Lag is the time since the server learned of a commit that its storage does not show
	// yet, or 0 if there is none. Stalled says that the storage has not shown a commit for so
	// long that the server reports it as an error.
	Lag     time.Duration
	Stalled bool
	Replica *ReplicaStatus // or nil if the server keeps no replica
	// Divergent is the number of keys that the last check of the server against its storage
	// found to differ; see the option WithSelfCheck. CheckErr is the reason that the last
	// check could not be completed, or nil if it was, or if there has been none.
	Divergent int
	CheckErr  error

	Keys      int   // that have an entry
	Waiters   int   // parked polls and watches
	SetKeys   int64 // keys in all key sets that clients poll; see the option WithSetKeys
	Inflight  int   // commits under way
	CacheSize int64 // bytes of content in memory

	Counters  ServerCounters
	Listeners ListenerCounts
}

// ServerCounters counts events since the server was made.
type ServerCounters struct {
	// Change sets by outcome. Canceled counts those whose caller left before the server
	// began to commit them, so that nothing was done.
	Committed, Conflict, Refused, Failed, Unknown, Shed, Canceled uint64

	// Polls by answer. PollFailed counts those that ended with an error of another kind.
	PollChanged, PollTimeout, PollCanceled, PollShed, PollDrained, PollResync, PollFailed uint64

	Wakeups               uint64 // of waiters for a key that changed; other waiters are not woken
	CacheHits, CacheLoads uint64 // contents found in memory, and contents loaded from the storage
	StorageErrors         uint64
	Forks                 uint64 // changes of the epoch
	FeedGaps, FeedStalls  uint64 // times that the storage did not show a change that it must have: between others, and at the end
	Checks, Divergences   uint64 // completed checks of the server against its storage, and differences that they found
	CheckFailures         uint64 // checks that could not be completed
}

// ListenerCounts counts the reports of clients in the last minutes. Only the last report
// of each client about each key counts.
type ListenerCounts struct {
	InSync   int // reports that the present revision was applied
	Pending  int // reports about an earlier revision
	Rejected int // reports that the present revision was rejected
}

// ReplicaStatus is the state of a server's replica.
type ReplicaStatus struct {
	Position Position // that the replica has reached, or zero if it has nothing that can be used
	Err      error    // of the last attempt to read or write it, or nil if that succeeded
	Failures uint64   // failed attempts to write it
	Installs uint64   // times that the server rebuilt it from the storage
}
