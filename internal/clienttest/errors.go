package clienttest

import "sync"

// Errors is a callback of OnError that records its calls.
type Errors struct {
	mu   sync.Mutex
	errs []error
}

// Add records err.
func (e *Errors) Add(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs = append(e.errs, err)
}

// Take returns the errors since the last call of Take.
func (e *Errors) Take() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	errs := e.errs
	e.errs = nil
	return errs
}
