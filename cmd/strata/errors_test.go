package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/sim/kernel"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Whose fault an error is, and what is said about it.
func TestPrintError(t *testing.T) {
	unfit := &plan.DoesNotFit{Machine: "m", Tier: "hbm", Capacity: 1 << 30, Needs: []plan.Need{{What: "weights", Bytes: 3 << 29}}, Hint: "buy more"}
	for _, tt := range []struct {
		err  error
		code int
		text string // printed
	}{
		{nil, 0, ""},
		{&plan.Invalid{Field: "tp", Message: "3 is odd", Hint: "try 2"}, 2, "strata: --tp: 3 is odd (try 2)\n"},
		{fmt.Errorf("row ab: %w", &plan.Invalid{Field: "tp", Message: "3 is odd"}), 2, "strata: row ab: --tp: 3 is odd\n"},
		{unfit, 3, "strata: does not fit: each chip of m needs 1.50 GiB of hbm and has 1.00 GiB\n  weights          1.50 GiB  150.0 % of the hbm\n  too much       512.00 MiB  weights of 1.00 GiB would fit\n  hint: buy more\n"},
		{&spec.Error{Problems: []spec.Problem{{File: "a.yaml", Line: 3, Path: "chip", Message: "bad"}, {File: "a.yaml", Line: 4, Path: "x", Message: "worse"}}}, 2,
			"strata: a.yaml:3: chip: bad\n  a.yaml:4: x: worse\n"},
		{traces.ReadErrors{{File: "t", Line: 7, Path: "op.m", Message: "bad"}}, 2, "strata: t:7: op.m: bad\n"},
		{&traces.Invalid{Where: "op", Message: "bad"}, 2, "strata: op: bad\n"},
		{llm.Errors{{File: "c", Line: 2, Path: "hidden_size", Message: "bad"}}, 2, "strata: c:2: hidden_size: bad\n"},
		{&llm.Unknown{Name: "x"}, 2, "strata: unknown model \"x\"\n"},
		{&presets.Unknown{Name: "x", Near: "y"}, 2, "strata: unknown machine \"x\"; did you mean \"y\"?\n"},
		{fmt.Errorf("tensor t: %w", plan.ErrTooLarge), 2, "strata: tensor t: too large (a smaller prompt or batch, or a faster machine)\n"},
		{&hinted{fmt.Errorf("op: %w", plan.ErrTooLarge), "a smaller operator"}, 2, "strata: op: too large (a smaller operator)\n"},
		{fmt.Errorf("qkv: %w: %w", &compute.UnsupportedType{Type: traces.FP8, Known: []string{"bf16", "int8"}}, plan.ErrUnsupported), 2,
			"strata: --dtype/--weight-dtype: the matrix unit has no rate for fp8 (it knows bf16, int8)\n"},
		{fmt.Errorf("op: %w", plan.ErrUnsupported), 2, "strata: op: unsupported\n"},
		{&kernel.LimitError{Events: 5}, 2, "strata: at 0 ps: the limit of 5 events is reached; use fewer or larger tiles, the analytic fidelity, or a higher limit\n"},
		{&usageError{"unknown flag", "strata run"}, 2, "strata: unknown flag\n  see: strata run --help\n"},
		{badInput{fs.ErrNotExist}, 2, "strata: file does not exist\n"},
		{&store.Error{Path: "r.db", Kind: store.ErrForeign, Text: "not ours"}, 2, "strata: r.db: not ours\n"},
		{&store.Error{Path: "r.db", Kind: store.ErrFull, Text: "full", Hint: "free some"}, 1, "strata: r.db: full (free some)\n"},
		{&store.Error{Path: "r.db", Kind: store.ErrConflict, Text: "alarm"}, 1, "strata: r.db: alarm\n"},
		{&failed{1, "2 of 3 differ"}, 1, "strata: 2 of 3 differ\n"},
		{&failed{4, ""}, 4, ""},
		{errors.New("internal: sums differ"), 1, "strata: internal error, please report it with the command line: sums differ\n"},
		{fmt.Errorf("run: %w", context.Canceled), 75, "strata: interrupted: no result; run it again\n"},
		{outputError("standard output", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), 1, "strata: standard output cannot be written: no space left on device\n"},
		{outputError("standard output", &fs.PathError{Op: "write", Path: "x", Err: syscall.EPIPE}), 0, ""},
		{experiments.Problems{&store.Error{Path: "r.db", Kind: store.ErrFull, Text: "full"}, fmt.Errorf("x: %w", syscall.EPIPE)}, 1, "strata: r.db: full\n"},
		// Of several, what can be mended counts.
		{experiments.Problems{errors.New("x"), &plan.Invalid{Field: "tp", Message: "bad"}}, 2, "strata: x\nstrata: --tp: bad\n"},
		{experiments.Problems{unfit, &store.Error{Path: "r.db", Kind: store.ErrFull, Text: "full"}}, 3, "strata: does not fit: each chip of m needs 1.50 GiB of hbm and has 1.00 GiB\n  weights          1.50 GiB  150.0 % of the hbm\n  too much       512.00 MiB  weights of 1.00 GiB would fit\n  hint: buy more\nstrata: r.db: full\n"},
	} {
		var b bytes.Buffer
		if code := printError(&b, tt.err); code != tt.code || b.String() != tt.text {
			t.Errorf("%v: code %d, want %d; text %q, want %q", tt.err, code, tt.code, b.String(), tt.text)
		}
	}
}

// Whatever a command makes of an interrupt, it was interrupted; what could not be written afterwards counts.
func TestAfterSignal(t *testing.T) {
	p := &process{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), processKey{}, p))
	empty, full := badInput{errors.New("the file is empty")}, outputError("t.json", syscall.ENOSPC)
	if err := afterSignal(ctx, empty); err != error(empty) {
		t.Errorf("before a signal: %v", err)
	}
	cancel()
	if err := afterSignal(ctx, nil); err != nil {
		t.Errorf("a command that was done: %v", err)
	}
	for _, err := range []error{empty, full, context.Canceled} {
		if got := afterSignal(ctx, err); !errors.Is(got, context.Canceled) {
			t.Errorf("%v became %v", err, got)
		}
	}
	p.delivering.Store(true)
	if err := afterSignal(ctx, full); err != full {
		t.Errorf("an answer that was lost: %v", err)
	}
}

// A panic is said in a line; the stack comes only when asked for.
func TestPanic(t *testing.T) {
	for _, debug := range []string{"", "1"} {
		t.Setenv("STRATA_DEBUG", debug)
		c := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { panic("negative wait") }}
		c.SetArgs(nil)
		var b bytes.Buffer
		if code := execute(t.Context(), c, &b); code != exitInternal {
			t.Errorf("code %d", code)
		}
		text := b.String()
		if !strings.HasPrefix(text, "strata: internal error, please report it with the command line: negative wait\n") || strings.Contains(text, "goroutine") != (debug != "") {
			t.Errorf("STRATA_DEBUG=%q: %s", debug, text)
		}
	}
}

// Nothing is left of a file that was not committed, and what was there before stays.
func TestOutFile(t *testing.T) {
	t.Chdir(t.TempDir())
	names := func() string {
		entries, err := os.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return strings.Join(list, " ")
	}
	for i, commit := range []bool{false, true, false} {
		o, err := createFile("timeline", "t.json")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(o, "version %d", i)
		if commit {
			if err := o.commit(); err != nil {
				t.Fatal(err)
			}
		}
		o.discard()
		want := ""
		if i > 0 {
			want = "t.json"
		}
		if got := names(); got != want {
			t.Errorf("step %d: files %q, want %q", i, got, want)
		}
	}
	if text, err := os.ReadFile("t.json"); err != nil || string(text) != "version 1" {
		t.Errorf("%q, %v", text, err)
	}
}
