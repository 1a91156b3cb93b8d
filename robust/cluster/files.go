package cluster

import (
	"context"
	"fmt"
	"sync"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// Files are the local files of one client in memory, for synctest bubbles. They outlive the
// client, and have no overrides.
type Files struct {
	id string

	mu        sync.Mutex
	snapshots map[fileName]conf.Snapshot // guarded by mu
}

type fileName struct {
	key  diamond.Key
	slot conf.Slot
}

var _ diamond.LocalFiles = (*Files)(nil)

// NewFiles returns the empty files of a client.
func NewFiles(client int) *Files {
	return &Files{id: fmt.Sprintf("client-%d", client), snapshots: make(map[fileName]conf.Snapshot)}
}

// ClientID implements [diamond.LocalFiles].
func (f *Files) ClientID() (string, error) { return f.id, nil }

// Load implements [diamond.LocalFiles].
func (f *Files) Load(key diamond.Key, slot conf.Slot) (conf.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.snapshots[fileName{key, slot}]
	if !ok {
		return s, conf.Errorf(diamond.ErrNotFound, "no snapshot")
	}
	return s, nil
}

// Save implements [diamond.LocalFiles].
func (f *Files) Save(slot conf.Slot, s conf.Snapshot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots[fileName{s.Entry.Key, slot}] = s
	return nil
}

// Override implements [diamond.LocalFiles].
func (f *Files) Override(diamond.Key) (string, error) {
	return "", conf.Errorf(diamond.ErrNotFound, "no override")
}

// WatchOverrides implements [diamond.LocalFiles].
func (f *Files) WatchOverrides(ctx context.Context, _ func(diamond.Key)) error {
	<-ctx.Done()
	return nil
}
