package conf

import (
	"time"
)

// Status is the state of one key at a client, for health pages and logs.
type Status struct {
	Key       Key
	Source    Source
	Revision  int64
	MD5       string
	Confirmed time.Time     // when a server last confirmed the state, or zero if none has
	Age       time.Duration // time since Confirmed by the monotonic clock, or 0 if never confirmed
	Deleted   bool
	Orphaned  bool
	// Rejected is the newest revision that a listener rejected without having applied
	// a value since, or 0. Err says why.
	Rejected  int64
	Listeners int
	Err       error // why the key has no value, is not fresh or was rejected, or nil
}

// Snapshot is a copy of an entry on a client's disk.
type Snapshot struct {
	Entry    Entry
	Position Position // of the answer that contained it
	// Deleted says that the key was deleted as of Position. Only Entry.Key is set then.
	// Deletions are stored so that a restart does not restore the old value.
	Deleted bool
	Saved   time.Time
}

// Slot selects one of the two snapshots of a key.
type Slot uint8

// The slots of a key.
const (
	SlotFetched  Slot = iota // the newest value that a server sent
	SlotLastGood             // the newest value that every listener applied
)

// Source says where a value came from.
type Source uint8

// The sources, in the order in which a client reads them. Only a value bound to a key uses SourceDefault.
const (
	SourceNone     Source = iota // no value
	SourceOverride               // the operator's file on this host, which takes precedence over servers
	SourceServer                 // a server, whose answer the client keeps up to date in memory
	SourceSnapshot               // the last copy on this host's disk, because no server has answered yet
	SourceDefault                // the default passed to Bind
)

// String returns "none", "override", "server", "snapshot" or "default".
func (s Source) String() string {
	switch s {
	case SourceNone:
		return "none"
	case SourceOverride:
		return "override"
	case SourceServer:
		return "server"
	case SourceSnapshot:
		return "snapshot"
	case SourceDefault:
		return "default"
	}
	return "unknown"
}

// Config is the state of a key at a client, which is a value or a deletion, and its
// origin.
type Config struct {
	Entry // if Deleted, only Key and, if known, Revision are set
	// Deleted says that the key has been deleted, according to a server that was not
	// behind the known position.
	Deleted bool
	// Orphaned says that the store has lost history (there is a new [Epoch]), and the
	// key with it. The value is the last one known.
	Orphaned bool
	// Refused is the error with which servers refuse the key to this client, such as
	// ErrDenied, or nil if they do not. If it is set, the value is the last one known.
	Refused error
	Source  Source
	// Confirmed is when a server last confirmed the state, or zero if none has.
	Confirmed time.Time
}
