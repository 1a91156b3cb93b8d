package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. A second
// signal exits the process at once, with the status that shells use for signals. The
// returned function stops the handling of signals.
//
// It does not use signal.NotifyContext, which ignores a second signal until its stop
// function is called.
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
