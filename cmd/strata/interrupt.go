package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// How long a command may take to end after the first signal.
const (
	stopWithin    = 2 * time.Second
	deliverWithin = 30 * time.Second // when its work is done and the answer is on its way out
)

// process is what one execution of a command line has in common; it travels in the context.
type process struct {
	delivering atomic.Bool  // the work is done: an interrupt is too late to lose it
	grace      atomic.Int64 // nanoseconds that the command may take to end after a signal, beside stopWithin
	helpErr    error        // why the help could not be written
}

type processKey struct{}

// processOf returns the process of a context, a new one where there is none, as in tests.
func processOf(ctx context.Context) *process {
	if ctx != nil {
		if p, ok := ctx.Value(processKey{}).(*process); ok {
			return p
		}
	}
	return &process{}
}

// interruptible returns a context that ends with the first Ctrl-C or SIGTERM, so that what runs can stop in good
// order. A command that then does not end, because it is blocked in a read or is planning, is ended after a while. The
// second signal ends the process at once.
func interruptible(stderr io.Writer) (context.Context, func()) {
	p := &process{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), processKey{}, p))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if !signal.Ignored(os.Interrupt) { // as it is for what a script runs in the background: the script decides about Ctrl-C
		signal.Notify(signals, os.Interrupt)
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			if isTerminal(stderr) {
				fmt.Fprintln(stderr) // after the ^C
			}
			fmt.Fprintln(stderr, "strata: stopping; press Ctrl-C again to stop at once")
			cancel()
		case <-done:
			return
		}
		for _, wait := range []time.Duration{stopWithin, deliverWithin} {
			select {
			case <-time.After(wait + time.Duration(p.grace.Swap(0))):
			case <-done:
				return
			}
			if !p.delivering.Load() {
				break
			}
		}
		discardAll()
		os.Exit(printError(stderr, context.Canceled))
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
