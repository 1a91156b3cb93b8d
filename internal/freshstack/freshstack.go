// Package freshstack runs functions on a stack of their own.
package freshstack

// Run calls f on another goroutine and returns when it has returned. A panic
// of f's is passed on.
//
// It is for goroutines that are about to wait for long, by the thousand: a
// stack doubles when it is full and does not shrink while its goroutine waits,
// so what goes deep before the wait would be paid for as long as it lasts.
func Run(f func()) {
	var caught any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { caught = recover() }()
		f()
	}()
	<-done
	if caught != nil {
		panic(caught)
	}
}
