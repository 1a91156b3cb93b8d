package traffic

import (
	"context"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/robust/record"
)

// shown has the last calls of each subscriber since its last start.
type shown struct {
	mu     sync.Mutex
	latest map[int]map[string]record.Told // by client and key; guarded by mu
}

func (s *shown) begin(client int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		s.latest = make(map[int]map[string]record.Told)
	}
	s.latest[client] = make(map[string]record.Told)
}

func (s *shown) told(client int, t record.Told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest[client][t.Key] = t
}

// all reports whether the last values of all subscribers equal entries, the digests of the
// contents by key.
func (s *shown) all(clients, keys int, entries map[string]string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.latest) < clients {
		return false
	}
	for _, latest := range s.latest {
		for i := range keys {
			key := Key(i).String()
			if latest[key].Refused || latest[key].Digest != entries[key] { // empty if the key does not exist
				return false
			}
		}
	}
	return true
}

// Settle waits up to patience until all subscribers have the values of entries, the storage's
// current view. It reports whether they do.
func (t *Traffic) Settle(ctx context.Context, entries []record.Held, patience time.Duration) bool {
	now := make(map[string]string)
	for _, e := range entries {
		now[e.Key] = e.Digest
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !t.shown.all(t.config.Subscribers, t.config.Keys, now) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
