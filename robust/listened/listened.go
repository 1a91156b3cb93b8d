// Package listened has a listener that records its calls, for the tests of all runners.
package listened

import (
	"context"
	"slices"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// Listener records its calls. It is safe for concurrent use.
type Listener struct {
	mu  sync.Mutex
	all []diamond.Config // guarded by mu
	at  time.Time        // guarded by mu
}

// OnConfig implements [diamond.Listener].
func (l *Listener) OnConfig(_ context.Context, config diamond.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, config)
	l.at = time.Now()
	return nil
}

// Configs returns all recorded values.
func (l *Listener) Configs() []diamond.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// Last returns the content of the last call, "-" for a deletion, or "" before the first call.
func (l *Listener) Last() string {
	all := l.Configs()
	switch {
	case len(all) == 0:
		return ""
	case all[len(all)-1].Deleted:
		return "-"
	}
	return all[len(all)-1].Content
}

// LastAt returns the time of the last call, or zero before the first.
func (l *Listener) LastAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}
