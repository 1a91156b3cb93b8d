package diamond

import (
	"context"
	"time"
)

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
