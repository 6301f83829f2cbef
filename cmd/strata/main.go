package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes that scripts rely on.
const (
	exitOK          = 0
	exitInternal    = 1  // a fault of ours, or what could not be written
	exitBadInput    = 2  // the message names file, line and field
	exitDoesNotFit  = 3  // a result: the point is infeasible
	exitSomeFailed  = 4  // finished, but some points failed
	exitInterrupted = 75 // run it again to go on
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program without the process around it, so that tests can call it: it executes one
// command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// A reader that has seen enough closes its end of the pipe; that is an error to return, not a reason to die
	// before the results database is closed.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := interruptible(stderr)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return execute(ctx, root, stderr)
}

// execute runs a command line and turns its end into an exit code. A panic is our fault and is said in one line; with
// STRATA_DEBUG set the stack follows.
func execute(ctx context.Context, root *cobra.Command, stderr io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "strata: internal error, please report it with the command line: %v\n", p)
			if os.Getenv("STRATA_DEBUG") != "" {
				_, _ = stderr.Write(debug.Stack())
			}
			code = exitInternal
		}
	}()
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = processOf(ctx).helpErr
	}
	return printError(stderr, afterSignal(ctx, err))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "strata",
		Short: "Simulate accelerators for large language models",
		Long: `Strata simulates accelerators for large language models. Give it a machine, a model and a way to
spread one over the other; it answers how long that takes, what the time was spent waiting for, how
much energy it used and what it cost.`,
		Example: `strata run --arch a100-sxm-80gb --model llama2-7b --phase generate --batch 8 --prompt 512 --generate 128
strata arch show tpu-v4
strata plan show --arch a100-sxm-80gb --model gpt3-175b --phase decode --tp 8`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddGroup(&cobra.Group{ID: groupSimulate, Title: "Simulate"}, &cobra.Group{ID: groupLook, Title: "Look at"}, &cobra.Group{ID: groupOther, Title: "Other"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupSimulate, newRun(), newOp(), newEstimate(), newOracle(), newSweep(), newSearch(), newStudy(), newValidate(), newCalibrate())
	add(groupLook, newPlan(), newDiff(), newTrace(), newArch(), newModel(), newResults(), newPareto(), newReport())
	add(groupOther, newVersion())
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	root.SetHelpCommand(newHelp())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args = nil
			family(c)
		}
	}
	family(root)
	prepareHelp(root)
	return root
}

// Groups of commands in the help.
const (
	groupSimulate = "simulate"
	groupLook     = "look"
	groupOther    = "other"
)
