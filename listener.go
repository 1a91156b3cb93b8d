package diamond

import (
	"context"
	"time"
)

// Source says where a value came from.
type Source uint8

// The sources, in the order in which a [Client] reads them; SourceDefault is [Bind]'s alone.
const (
	SourceNone     Source = iota // no value
	SourceOverride               // a file of the operator's on this host, which beats the server
	SourceServer                 // a server, or held in memory since
	SourceSnapshot               // the last copy on this host's disk: no server has been reached yet
	SourceDefault                // the default that the program gave to Bind
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

// Config is the state of a key at a client: its value, or its deletion, and
// where that came from.
type Config struct {
	Entry // with Deleted: only Key, and Revision where it is known
	// Deleted is true when the key has been deleted: a server said so at a
	// position not below the one held.
	Deleted bool
	// Orphaned is true when the store's history was lost (a new [Epoch]) and the
	// key with it: the value is the last one known.
	Orphaned bool
	// Refused is why servers do not let this client have the key any more, such as
	// ErrDenied; nil: they do. The value is the last one known.
	Refused error
	Source  Source
	// Confirmed is when a server last said that this is the present state; zero: never.
	Confirmed time.Time
}

// Listener is told of a key's value.
//
// A listener is level-triggered. It is called with the present value first, if
// there is one, and then with newer ones: the latest wins, values in between
// may be skipped, none comes twice or out of order. Each listener has a
// goroutine of its own, so calls of one never overlap and a slow one hurts
// only itself. It may call any method of the client.
//
// A newer value whose content, type and metadata are those of the one that the
// listener applied last calls nobody: it counts as applied, and is reported to
// the server for its revision. When servers begin to
// refuse the key, and when they no longer do, a listener is called with the
// value that it has; [Config].Refused tells.
//
// A nil result says that the value is applied. An error, or a panic, rejects
// it: the listener keeps what it had, the server is told (without content),
// and the next call is for a newer revision, also where the value is equal: what
// it was rejected for may be mended by then, and publishing it again has it tried
// again. A rejected first value is followed by the last good snapshot, if there
// is one.
type Listener interface {
	OnConfig(ctx context.Context, config Config) error
}

// ListenerFunc makes a function a [Listener].
type ListenerFunc func(ctx context.Context, config Config) error

// OnConfig calls f.
func (f ListenerFunc) OnConfig(ctx context.Context, config Config) error { return f(ctx, config) }

// Status is the state of one key at a client, for health pages and logs.
type Status struct {
	Key       Key
	Source    Source
	Revision  int64
	MD5       string
	Confirmed time.Time     // when a server last said that this is the present state; zero: never
	Age       time.Duration // since Confirmed, by the monotonic clock; 0: never confirmed
	Deleted   bool
	Orphaned  bool
	// Rejected is the newest revision that a listener refused and that has not
	// been followed by a good one; 0: none. Err says why.
	Rejected  int64
	Listeners int
	Err       error // why the key has no value, is not fresh, or was rejected; nil: all is well
}

// Snapshot is a copy of an entry on a client's disk.
type Snapshot struct {
	Entry    Entry
	Position Position // of the answer that brought it
	// Deleted says that the key was deleted as of Position: of Entry only the Key
	// is set. It is kept so that a restart does not bring the value back.
	Deleted bool
	Saved   time.Time
}

// Slot says which of a key's two snapshots is meant.
type Slot uint8

// The slots of a key.
const (
	SlotFetched  Slot = iota // the newest value that a server sent
	SlotLastGood             // the newest value that every listener applied
)

// LocalFiles keeps a client's snapshots and finds the operator's overrides.
// localfile.Open makes one. Implementations are safe for concurrent use.
type LocalFiles interface {
	// ClientID returns an id for this client that is stable over restarts.
	ClientID() (string, error)
	// Load returns the snapshot of key in slot, ErrNotFound when there is none.
	// A damaged one is set aside and reported as ErrCorrupt, once.
	Load(key Key, slot Slot) (Snapshot, error)
	// Save replaces a snapshot, atomically and durably.
	Save(slot Slot, snapshot Snapshot) error
	// Override returns the content of the operator's file for key, ErrNotFound when
	// there is none. With another error, or a content that says nothing, what the
	// client has of the file stays in force.
	Override(key Key) (content string, err error)
	// WatchOverrides calls changed with the key of every override that appears,
	// changes or goes away, until ctx ends; then it returns. Calls do not overlap.
	WatchOverrides(ctx context.Context, changed func(Key)) error
}
