package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/store"
)

// answering are the flags of commands that answer estimate requests.
type answering struct {
	workers int64
	cache   string
	memory  int64 // MiB for remembered answers
}

func (a *answering) register(c *cobra.Command, problems *experiments.Problems) {
	c.Flags().Var(&count{name: "workers", into: &a.workers, min: 1, problems: problems}, "workers", "requests to work on at a time (default the processors there are)")
	c.Flags().StringVar(&a.cache, "cache", "", "keep answers in `FILE`, a results database, and find them there when they are asked for again; several processes may share it")
	c.Flags().Var(&count{name: "cache-memory", into: &a.memory, min: 1, problems: problems}, "cache-memory", "about the `MiB` of memory for remembered answers (default 96)")
	_ = c.MarkFlagFilename("cache", "db", "sqlite")
}

// collectAt is the garbage beside what lives, in percent, at which it is collected, and collectFrom the size in bytes from which on the
// collector holds against growth: answers leave much garbage, and 300 MB is what a process that answers may take.
const (
	collectAt   = 400
	collectFrom = 224 << 20
)

// open returns how to answer, and what ends it: the error is that answers could not be kept.
func (a *answering) open(c *cobra.Command) (o oracle.Options, end func() error, err error) {
	o = oracle.Options{Workers: int(a.workers), CacheBytes: a.memory << 20}
	end = func() error { return nil }
	if a.cache == "" && c.Flags().Changed("cache") {
		return o, end, &experiments.Invalid{Field: "cache", Message: "the name of the file is empty"} // of a variable that is not set, say
	}
	if a.cache != "" {
		b := thisBuild()
		if o.Kept, err = store.OpenAnswers(a.cache, store.Options{ModelVersion: eval.Version, Tool: tool()}); err != nil {
			return o, end, err
		}
		for _, w := range o.Kept.Warnings() {
			fmt.Fprintln(c.ErrOrStderr(), "strata:", w)
		}
		path := a.cache
		o.Kept.Warn(func(err error) {
			fmt.Fprintf(c.ErrOrStderr(), "strata: --cache %s: not every answer is kept: %v\n", path, err)
		})
		o.Build = fmt.Sprintf("%s %s %v", b.Version, b.Revision, b.Modified)
		end = func() error {
			if err := o.Kept.Close(); err != nil {
				return fmt.Errorf("every request was answered, but not every answer kept: %w", err)
			}
			return nil
		}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(max(collectFrom, 2*o.CacheBytes+32<<20))
	}
	return o, end, nil
}
