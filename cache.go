package diamond

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
)

// LocalFiles stores a client's snapshots and finds the operator's overrides.
// localfile.Open makes one. Implementations are safe for concurrent use.
type LocalFiles interface {
	// ClientID returns an id of this client that stays the same after a restart.
	ClientID() (string, error)
	// Load returns the snapshot of key in slot, or ErrNotFound if there is none. It
	// sets a damaged one aside and returns ErrCorrupt, once.
	Load(key Key, slot conf.Slot) (conf.Snapshot, error)
	// Save replaces a snapshot atomically and durably.
	Save(slot conf.Slot, snapshot conf.Snapshot) error
	// Override returns the content of the operator's file for key, or ErrNotFound if
	// there is none. After another error, or a content that says nothing, the client
	// keeps using what it read from the file before.
	Override(key Key) (content string, err error)
	// WatchOverrides calls changed with the key of every override that appears,
	// changes or is removed. It returns when ctx ends. Calls do not overlap.
	WatchOverrides(ctx context.Context, changed func(Key)) error
}
