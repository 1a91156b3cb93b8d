package clienttest

import (
	"context"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Files is local files in memory.
type Files struct {
	Mu          sync.Mutex
	Snapshots   map[conf.Slot]map[conf.Key]conf.Snapshot
	saves       int
	Overrides   map[conf.Key]string
	changed     chan conf.Key
	SaveErr     error
	SaveDelay   time.Duration
	LoadErr     error
	LoadDelay   time.Duration
	OverrideErr error
}

// NewFiles returns files without snapshots and overrides.
func NewFiles() *Files {
	return &Files{
		Snapshots: map[conf.Slot]map[conf.Key]conf.Snapshot{conf.SlotFetched: {}, conf.SlotLastGood: {}},
		Overrides: make(map[conf.Key]string),
		changed:   make(chan conf.Key),
	}
}

// ClientID implements [diamond.LocalFiles].
func (f *Files) ClientID() (string, error) { return "client-1", nil }

// Load implements [diamond.LocalFiles].
func (f *Files) Load(key conf.Key, slot conf.Slot) (conf.Snapshot, error) {
	f.Mu.Lock()
	delay := f.LoadDelay
	f.Mu.Unlock()
	<-time.After(delay)
	f.Mu.Lock()
	defer f.Mu.Unlock()
	if f.LoadErr != nil {
		return conf.Snapshot{}, f.LoadErr
	}
	s, ok := f.Snapshots[slot][key]
	if !ok {
		return s, conf.Errorf(conf.ErrNotFound, "no snapshot")
	}
	return s, nil
}

// Save implements [diamond.LocalFiles].
func (f *Files) Save(slot conf.Slot, s conf.Snapshot) error {
	f.Mu.Lock()
	delay, err := f.SaveDelay, f.SaveErr
	f.saves++
	f.Mu.Unlock()
	<-time.After(delay)
	if err != nil {
		return err
	}
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Snapshots[slot][s.Entry.Key] = s
	return nil
}

// Override implements [diamond.LocalFiles].
func (f *Files) Override(key conf.Key) (string, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	content, ok := f.Overrides[key]
	if f.OverrideErr != nil {
		return "", f.OverrideErr
	}
	if !ok {
		return "", conf.Errorf(conf.ErrNotFound, "no override")
	}
	return content, nil
}

// WatchOverrides implements [diamond.LocalFiles].
func (f *Files) WatchOverrides(ctx context.Context, changed func(conf.Key)) error {
	for {
		select {
		case key := <-f.changed:
			changed(key)
		case <-ctx.Done():
			return nil
		}
	}
}

// With calls change with Mu held.
func (f *Files) With(change func()) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	change()
}

// SetOverride sets an override, or removes it if content is nil.
func (f *Files) SetOverride(key conf.Key, content *string) {
	f.Mu.Lock()
	if content == nil {
		delete(f.Overrides, key)
	} else {
		f.Overrides[key] = *content
	}
	f.Mu.Unlock()
	f.changed <- key
}

// Snapshot returns the snapshot of key in slot.
func (f *Files) Snapshot(slot conf.Slot, key conf.Key) (conf.Snapshot, bool) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	s, ok := f.Snapshots[slot][key]
	return s, ok
}

// SaveCount returns the number of calls of Save.
func (f *Files) SaveCount() int {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.saves
}
