package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view"
)

// sweepFlags name the database and the sweep that a command looks at.
type sweepFlags struct {
	dbFlags
	sweep string
}

func (f *sweepFlags) register(c *cobra.Command, about string) {
	f.dbFlags.register(c)
	c.Flags().StringVar(&f.sweep, "sweep", "", about)
	mustComplete(c, "sweep", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		s, err := f.open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer s.Close()
		sweeps, _ := s.Sweeps(c.Context()) // none to offer
		var names []string
		for _, w := range sweeps {
			names = append(names, w.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

// source opens what is looked at. alone takes the sweep of a database that has just one for granted.
func (f *sweepFlags) source(c *cobra.Command, s *store.Store, alone bool) (*view.Source, error) {
	if f.sweep == "" && c.Flags().Changed("sweep") {
		return nil, &experiments.Invalid{Field: "sweep", Message: "the name is empty", Hint: "perhaps a variable of the shell is not set"}
	}
	name := f.sweep
	if name == "" && alone {
		sweeps, err := s.Sweeps(c.Context())
		if err != nil {
			return nil, err
		}
		if len(sweeps) == 1 {
			name = sweeps[0].Name
		}
		if len(sweeps) > 1 {
			var names []string
			for _, w := range sweeps {
				names = append(names, w.Name)
			}
			note(c, "all rows of the database; --sweep chooses one of its sweeps: "+strings.Join(names, ", "))
		}
	}
	v, err := view.Open(c.Context(), s, name)
	var none *view.NoSweep
	if errors.As(err, &none) {
		return nil, &experiments.Invalid{Field: "sweep", Message: none.Error()}
	}
	return v, err
}

// flagged makes an error of what was given with a flag one that names it.
func flagged(flag string, err error) error {
	if err == nil {
		return nil
	}
	invalid := &experiments.Invalid{Field: flag, Message: err.Error()}
	var unknown *view.Unknown
	if errors.As(err, &unknown) {
		invalid.Hint = unknown.Hint()
	}
	return invalid
}

// completeColumns completes the columns of runs, behind commas too.
func completeColumns(c *cobra.Command, flags ...string) {
	for _, flag := range flags {
		mustComplete(c, flag, func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			before := begun[:strings.LastIndexByte(begun, ',')+1]
			var words []string
			for _, col := range store.Tables()[0].Columns {
				if col.Type != store.JSON {
					words = append(words, before+col.Name)
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		})
	}
}

// listedColumns checks names given with commas between them.
func listedColumns(v *view.Source, flag string, names []string, problems *experiments.Problems) (list []string) {
	for _, name := range names {
		name = strings.TrimSpace(name)
		switch _, err := v.Column(name); {
		case name == "":
			problems.Add(&experiments.Invalid{Field: flag, Message: "a name is empty", Hint: "e.g. --" + flag + " arch,batch"})
		case err != nil:
			problems.Add(flagged(flag, err))
		case !slices.Contains(list, name):
			list = append(list, name)
		}
	}
	return list
}

// objectivesOf are the objectives that were asked for, else those that the sweep declares.
func objectivesOf(v *view.Source, given []string, problems *experiments.Problems) []view.Objective {
	var list []view.Objective
	for _, text := range given {
		o, err := v.Objective(strings.TrimSpace(text))
		if err == nil && slices.ContainsFunc(list, func(p view.Objective) bool { return p.Name == o.Name }) {
			err = fmt.Errorf("%q is given twice", o.Name)
		}
		if err != nil {
			problems.Add(flagged("objective", err))
			continue
		}
		list = append(list, o)
	}
	if len(given) > 0 {
		return list
	}
	list, err := v.Declared()
	if err != nil {
		problems.Add(flagged("objective", err))
	}
	return list
}

// describing are the columns that tell rows apart: the parameters of the sweep, else what was asked, as far as rows differ in it.
func describing(ctx context.Context, v *view.Source) ([]string, error) {
	if v.Sweep != nil {
		var names []string
		for _, p := range v.Parameters() {
			names = append(names, p.Name)
		}
		return names, nil
	}
	return v.Varying(ctx)
}
