package diamond

import (
	"context"
	"time"
)

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

// LocalFiles stores a client's snapshots and finds the operator's overrides.
// localfile.Open makes one. Implementations are safe for concurrent use.
type LocalFiles interface {
	// ClientID returns an id of this client that stays the same after a restart.
	ClientID() (string, error)
	// Load returns the snapshot of key in slot, or ErrNotFound if there is none. It
	// sets a damaged one aside and returns ErrCorrupt, once.
	Load(key Key, slot Slot) (Snapshot, error)
	// Save replaces a snapshot atomically and durably.
	Save(slot Slot, snapshot Snapshot) error
	// Override returns the content of the operator's file for key, or ErrNotFound if
	// there is none. After another error, or a content that says nothing, the client
	// keeps using what it read from the file before.
	Override(key Key) (content string, err error)
	// WatchOverrides calls changed with the key of every override that appears,
	// changes or is removed. It returns when ctx ends. Calls do not overlap.
	WatchOverrides(ctx context.Context, changed func(Key)) error
}
