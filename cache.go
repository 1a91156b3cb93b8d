package diamond

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
)

// LocalFiles gives a client access to its files: two snapshots of each key, which let a
// program start while no server can be reached, and the operator's overrides.
// localfile.Open makes one, and [WithLocalFiles] passes it to a client.
//
// Implementations are safe for concurrent use. Several clients on one host may use the
// same files: the last one that saves a snapshot wins. A call may take long, or hang as
// those to a network file system do: the client waits two seconds for one call, and
// delays nothing else. It reads a snapshot only until a server has answered. Errors wrap
// the sentinels of this package.
type LocalFiles interface {
	// ClientID returns an id of this client that stays the same after a restart.
	ClientID() (string, error)

	// Load returns the snapshot of key in slot, or ErrNotFound if there is none. It
	// sets a damaged one aside and returns ErrCorrupt, once.
	Load(key Key, slot conf.Slot) (conf.Snapshot, error)

	// Save replaces a snapshot atomically and durably. If it fails, the snapshot is the
	// earlier one.
	Save(slot conf.Slot, snapshot conf.Snapshot) error

	// Override returns the content of the operator's file for key, or ErrNotFound if
	// there is none. After another error, or a content that says nothing, the client
	// keeps using what it read from the file before.
	Override(key Key) (content string, err error)

	// WatchOverrides calls changed with the key of every override that appears,
	// changes or is removed. It returns when ctx ends. Calls do not overlap.
	WatchOverrides(ctx context.Context, changed func(Key)) error
}
