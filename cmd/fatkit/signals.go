package main

import (
	"context"
	"os"
	"os/signal"
)

// untilSignal returns a context that ends with the first signal that asks
// the program to stop, and one that ends with the second.
func untilSignal(parent context.Context) (ctx, force context.Context, release func()) {
	ctx, cancel := context.WithCancel(parent)
	force, cancelForce := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals...)
	go func() {
		for _, end := range []func(){cancel, cancelForce} {
			select {
			case <-signals:
				end()
			case <-force.Done():
				return
			}
		}
	}()
	return ctx, force, func() {
		signal.Stop(signals)
		cancel()
		cancelForce()
	}
}
