package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/store"
)

// hinted says what helps against an error better than its type can.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// badInput marks an error that whoever typed the command can mend.
type badInput struct{ error }

func (e badInput) Unwrap() error { return e.error }

// usageError says that a command line does not parse.
type usageError struct {
	text    string
	command string // whose help tells more
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%s\nsee: %s --help", e.text, e.command)
}

// failed is an end with an exit code of its own. Without text nothing is printed, because the command has said it all.
type failed struct {
	code int
	text string
}

func (e *failed) Error() string { return e.text }

// afterSignal is the error of a command whose context has perhaps been cancelled: whatever it makes of that, it was
// interrupted. What could not be written, and an end of the command's own, stand for themselves.
func afterSignal(ctx context.Context, err error) error {
	var (
		own     *failed
		written *outputFailure
		db      *store.Error
	)
	if err == nil || ctx.Err() == nil || errors.As(err, &own) && own.code == exitInterrupted {
		return err
	}
	if (errors.As(err, &written) || errors.As(err, &db)) && processOf(ctx).delivering.Load() {
		return err
	}
	return context.Canceled
}

// printError says what went wrong and returns the exit code. It is the one place that knows which error is whose fault.
func printError(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "strata: interrupted: no result; run it again")
		return exitInterrupted
	}
	var problems experiments.Problems
	problems.Add(err)
	code := exitOK
	for _, p := range problems {
		if errors.Is(p, syscall.EPIPE) {
			continue // who closed the pipe has read enough
		}
		c := exitCode(p)
		if text := errorText(p, c); text != "" {
			fmt.Fprintf(w, "strata: %s\n", text)
		}
		// Of several, what the user can mend counts first.
		if code == exitOK || c == exitBadInput {
			code = c
		}
	}
	return code
}

// exitCode maps an error to the exit code that scripts rely on.
func exitCode(err error) int {
	var (
		own   *failed
		usage *usageError
		bad   badInput
		db    *store.Error
	)
	switch {
	case errors.As(err, &own):
		return own.code
	case plan.Infeasible(err) != nil:
		return exitDoesNotFit
	case errors.As(err, &usage), errors.As(err, &bad):
		return exitBadInput
	case errors.As(err, &db):
		for _, kind := range []error{store.ErrForeign, store.ErrNewer, store.ErrUnwritable, store.ErrCorrupt, store.ErrNotFound, store.ErrAmbiguous, store.ErrVersion, store.ErrTaken, store.ErrSame} {
			if errors.Is(err, kind) {
				return exitBadInput
			}
		}
		return exitInternal
	case experiments.IsInput(err):
		return exitBadInput
	}
	return exitInternal
}

// errorText is what is printed for one error with that exit code.
func errorText(err error, code int) string {
	var (
		mapping *plan.Invalid
		unfit   *plan.DoesNotFit
		file    *fs.PathError
		dtype   *compute.UnsupportedType
		better  *hinted
	)
	text := err.Error()
	switch {
	case errors.As(err, &dtype):
		text = fmt.Sprintf("--dtype/--weight-dtype: the matrix unit has no rate for %s (it knows %s)", dtype.Type, strings.Join(dtype.Known, ", "))
	case errors.As(err, &better):
		text += " (" + better.hint + ")"
	case errors.Is(err, plan.ErrTooLarge):
		text += " (a smaller prompt or batch, or a faster machine)"
	case errors.As(err, &unfit):
		text = unfitText(unfit)
	case errors.As(err, &mapping):
		text = strings.Replace(text, mapping.Error(), "--"+mapping.Error(), 1)
	case code == exitInternal && errors.As(err, &file):
	case code == exitInternal && strings.HasPrefix(text, "internal: "):
		text = "internal error, please report it with the command line: " + strings.TrimPrefix(text, "internal: ")
	}
	// What follows a line break belongs to the same error.
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// unfitText is the table of what needs how much.
func unfitText(e *plan.DoesNotFit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "does not fit: each chip of %s needs %s of %s and has %s", e.Machine, plan.Human(e.Total()), e.Tier, plan.Human(e.Capacity))
	for _, n := range e.Lower {
		fmt.Fprintf(&b, ", and %s of %s", plan.Human(n.Bytes), n.What)
	}
	width := 12
	for _, n := range e.Needs {
		width = max(width, len(n.What))
	}
	for _, n := range e.Needs {
		share := float64(n.Bytes) / float64(e.Capacity)
		fmt.Fprintf(&b, "\n%-*s %12s  %s of the %s", width, n.What, plan.Human(n.Bytes), report.Percent(share), e.Tier)
	}
	if short := e.Total() - e.Room(); short > 0 {
		var fits []string
		for _, n := range e.Needs {
			if n.Bytes > short {
				fits = append(fits, fmt.Sprintf("%s of %s", n.What, plan.Human(n.Bytes-short)))
			}
		}
		if len(fits) > 0 {
			fmt.Fprintf(&b, "\n%-*s %12s  %s would fit", width, "too much", plan.Human(short), strings.Join(fits, ", or "))
		}
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\nhint: %s", e.Hint)
	}
	return b.String()
}
