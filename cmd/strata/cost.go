package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/costs"
)

// costFlags are the flags for costs of operators that are not the model's. Every command that times operators has them.
type costFlags struct {
	options  experiments.CostOptions
	shell    bool
	timeout  time.Duration
	problems *experiments.Problems
}

func (f *costFlags) register(c *cobra.Command, problems *experiments.Problems) {
	f.problems = problems
	fs := c.Flags()
	o := &f.options
	fs.StringVar(&o.File, "cost", "", "costs of operators in place of the model's: a table in `FILE`, CSV (see docs/costs.md)")
	fs.StringVar(&o.Command, "cost-command", "", "ask another program for the costs of operators: `COMMAND` with its arguments, JSON Lines in and out")
	fs.Var(&choice{"cost-missing", &o.Missing, []string{"model", "error"}, problems}, "cost-missing", "`HOW` to answer what has no cost in the table or from the program: by the model, or with an error (default model)")
	fs.Var(&choice{"cost-interpolate", &o.Interpolate, []string{"log"}, problems}, "cost-interpolate", "`HOW` to answer what is between rows of the table: log, in logarithms, never beyond them")
	fs.BoolVar(&f.shell, "cost-shell", false, "give the command of --cost-command to sh")
	fs.DurationVar(&f.timeout, "cost-timeout", costs.DefaultTimeout, "how long one answer of the command may take")
	group(fs, "Costs of your own", "cost", "cost-command", "cost-missing", "cost-interpolate", "cost-shell", "cost-timeout")
	complete(c, "cost-missing", func() []string { return []string{"model", "error"} })
	complete(c, "cost-interpolate", func() []string { return []string{"log"} })
}

// open reads the table or gets the command ready, nil without either. Arch and set are how the machine was given.
func (f *costFlags) open(c *cobra.Command, arch string, set []string) (*experiments.Costs, *experiments.CostOptions) {
	changed := c.Flags().Changed
	add := func(field, message, hint string) {
		f.problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	o := f.options
	if o.Missing == "model" {
		o.Missing = ""
	}
	switch {
	case changed("cost") && o.File == "", changed("cost-command") && strings.TrimSpace(o.Command) == "":
		name := "cost"
		if o.File != "" || !changed("cost") {
			name = "cost-command"
		}
		add(name, "nothing is given", "perhaps a variable of the shell is not set")
		return nil, nil
	case o.File != "" && o.Command != "":
		add("cost-command", "there is a table with --cost too", "give one of them")
		return nil, nil
	case o.File == "" && o.Command == "":
		for _, name := range []string{"cost-missing", "cost-interpolate", "cost-shell", "cost-timeout"} {
			if changed(name) {
				add(name, "there are no costs", "give --cost or --cost-command too")
			}
		}
		return nil, nil
	case o.Command == "":
		for _, name := range []string{"cost-shell", "cost-timeout"} {
			if changed(name) {
				add(name, "it goes with --cost-command", "leave it out")
			}
		}
	case changed("cost-interpolate"):
		add("cost-interpolate", "it goes with --cost", "a program can interpolate by itself")
	}
	if f.timeout <= 0 {
		add("cost-timeout", fmt.Sprintf("%v: must be more than 0", f.timeout), "e.g. 10s")
		return nil, nil
	}
	own, err := experiments.NewCosts(o, f.shell, archJSON(arch, set))
	f.problems.Add(inputError(err))
	if err != nil {
		return nil, nil
	}
	if command, ok := own.Coster.(*costs.Command); ok {
		command.Timeout, command.Stderr = f.timeout, c.ErrOrStderr()
	}
	return own, &o
}

// archJSON is a machine as the member "arch" of estimate requests, nil for one that is not changed: then its name does.
func archJSON(arch string, set []string) []byte {
	if len(set) == 0 {
		return nil
	}
	changes := map[string]string{}
	for _, s := range set {
		path, value, _ := strings.Cut(s, "=")
		changes[path] = value
	}
	text, err := json.Marshal(map[string]any{"base": arch, "set": changes})
	if err != nil {
		panic(err) // texts always encode
	}
	return text
}

// askCosts asks the command of --cost-command, if there is one, for all costs that the point needs.
func askCosts(c *cobra.Command, p *experiments.Point, r *eval.Request) error {
	text, err := p.AskCosts(c.Context(), r)
	if text != "" && err == nil {
		note(c, text)
	}
	return inputErrorOrSignal(c.Context(), err)
}

// inputErrorOrSignal is inputError, but for the end of a context.
func inputErrorOrSignal(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return inputError(err)
}

// closeCosts ends the command of --cost-command, if there is one.
func closeCosts(c *cobra.Command, own *experiments.Costs) {
	if own == nil {
		return
	}
	if command, ok := own.Coster.(*costs.Command); ok {
		if err := command.Close(); err != nil {
			note(c, err.Error())
		}
	}
}
