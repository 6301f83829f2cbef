package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stratasim/strata/experiments/report"
)

// Of progress lines.
const (
	progressAfter = time.Second // a run shorter than this shows none
	progressEvery = 200 * time.Millisecond
)

// progress tells on standard error how far a run is: one line that is drawn over on a terminal, and a plain line
// whenever the process gets SIGUSR1.
type progress struct {
	w      io.Writer
	start  time.Time
	events atomic.Int64
	runs   runsDone
	done   chan struct{}
	wait   sync.WaitGroup
	width  int // of the line that is shown, 0 for none
}

// startProgress begins. live says whether there is a line to draw over.
func startProgress(w io.Writer, live bool) *progress {
	p := &progress{w: w, start: time.Now(), done: make(chan struct{})}
	asked := make(chan os.Signal, 1)
	if len(progressSignals) > 0 {
		signal.Notify(asked, progressSignals...)
	}
	var tick <-chan time.Time
	stop := func() {}
	if live {
		t := time.NewTicker(progressEvery)
		tick, stop = t.C, t.Stop
	}
	p.wait.Go(func() {
		defer stop()
		defer signal.Stop(asked)
		for {
			select {
			case <-p.done:
				p.clear()
				return
			case <-asked:
				p.clear()
				fmt.Fprintln(p.w, "strata: "+p.text())
			case <-tick:
				if time.Since(p.start) >= progressAfter {
					text := p.text()
					fmt.Fprintf(p.w, "\r%-*s", p.width, text)
					p.width = len(text)
				}
			}
		}
	})
	return p
}

// update notes how many events have been simulated.
func (p *progress) update(events int64) { p.events.Store(events) }

func (p *progress) text() string {
	t, n := time.Since(p.start), p.events.Load()
	if runs := p.runs.text.Load(); runs != nil {
		return fmt.Sprintf("%s, %s", *runs, t.Round(time.Second/10))
	}
	if n == 0 {
		return fmt.Sprintf("planning, %s", t.Round(time.Second/10))
	}
	return fmt.Sprintf("%s events, %s a second, %s", report.Count(n), report.Count(int64(float64(n)/t.Seconds())), t.Round(time.Second/10))
}

// clear takes the line away.
func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

// stop ends it.
func (p *progress) stop() {
	close(p.done)
	p.wait.Wait()
}
