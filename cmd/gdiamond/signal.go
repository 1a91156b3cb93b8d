package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends with the first SIGINT or SIGTERM; a
// second one exits at once, with the status that a shell gives to what a signal
// ended. The returned function lets go of the signals.
//
// signal.NotifyContext would not do: it swallows a second signal that comes
// before its stop function has been called.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	released := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-released:
			return
		}
		select {
		case second := <-signals:
			os.Exit(128 + int(second.(syscall.Signal)))
		case <-released:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(released)
		cancel()
	}
}
