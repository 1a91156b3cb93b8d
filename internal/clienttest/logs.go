package clienttest

import (
	"strings"
	"sync"
)

// Logs collects log records as text.
type Logs struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write adds a record.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all records.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
