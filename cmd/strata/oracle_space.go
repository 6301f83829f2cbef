package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/sweep"
	"github.com/stratasim/strata/sim/spec"
)

// oracleSpace is strata oracle space.
type oracleSpace struct {
	json, yaml, config bool
	sample, seed       int64
	point              string
	problems           experiments.Problems
}

func newOracleSpace() *cobra.Command {
	f := &oracleSpace{}
	c := &cobra.Command{
		Use:   "space [NAME|FILE]",
		Short: "Search spaces: their parameters, and points of them as requests",
		Long: `List the search spaces that come with strata, or say what is in one of them or in a sweep file: its parameters with what
they take, constraints, objectives, and some points. With --sample it prints feasible points, drawn with the seed, as
estimate requests: strata estimate answers them. With --config it prints their models instead, each as a config.json of
Hugging Face that --model of strata run reads. docs/spaces.md describes spaces.`,
		Example: `strata oracle space
strata oracle space llama-like
strata oracle space llama-like --sample 100 --seed 1 | strata estimate
strata oracle space llama-like --config > config.json
strata oracle space llama-like --yaml > mine.yaml`,
		Args:              cobra.MaximumNArgs(1),
		RunE:              f.run,
		ValidArgsFunction: completeArgs(oracle.Spaces),
	}
	fs := c.Flags()
	fs.BoolVar(&f.json, "json", false, "for programs: one JSON object, as an estimate request gets it")
	fs.BoolVar(&f.yaml, "yaml", false, "the file, to start one of your own from")
	fs.Var(&count{name: "sample", into: &f.sample, min: 1, max: 1_000_000, problems: &f.problems}, "sample", "print so many feasible points as estimate requests")
	fs.Var(&count{name: "seed", into: &f.seed, min: 0, problems: &f.problems}, "seed", "of the points that are drawn (default 0)")
	fs.StringVar(&f.point, "point", "", "this point in place of drawn ones, as a `JSON` object")
	fs.BoolVar(&f.config, "config", false, "print points as models: a config.json each")
	return c
}

// readSpace reads a space that comes with strata, or a sweep file, with that machine in place of its own if it is not "".
func readSpace(name, machine string) (*sweep.Space, []byte, error) {
	data, find := oracle.SpaceFile(name), besideFile{}
	if data == nil {
		var err error
		data, err = experiments.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `/\.`) {
			hint := "known: " + strings.Join(oracle.Spaces(), ", ") + ", or a sweep file"
			if near := spec.Suggest(name, oracle.Spaces()); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return nil, nil, badInput{fmt.Errorf("unknown space %q (%s)", shorten(name), hint)}
		}
		if err != nil {
			return nil, nil, badInput{err}
		}
		find = besideFile{filepath.Dir(name)}
	}
	s, err := oracle.ReadSpace(name, data, find, machine)
	return s, data, inputError(err)
}

func (f *oracleSpace) run(c *cobra.Command, args []string) error {
	for _, flag := range []string{"yaml", "sample", "seed", "point", "config"} {
		if len(args) == 0 && c.Flags().Changed(flag) {
			f.problems.Add(&experiments.Invalid{Field: flag, Message: "of which space?", Hint: "strata oracle space lists them"})
		}
	}
	for _, pair := range [][2]string{{"json", "yaml"}, {"json", "sample"}, {"json", "config"}, {"json", "point"}, {"yaml", "sample"}, {"yaml", "config"}, {"yaml", "point"}, {"point", "sample"}, {"point", "seed"}} {
		if c.Flags().Changed(pair[0]) && c.Flags().Changed(pair[1]) {
			f.problems.Add(&experiments.Invalid{Field: pair[1], Message: "it does not go with --" + pair[0], Hint: "leave one of them out"})
		}
	}
	if err := f.problems.Err(); err != nil {
		return err
	}
	if len(args) == 0 {
		return f.list(c)
	}
	s, text, err := readSpace(args[0], "")
	if err != nil {
		return err
	}
	switch {
	case f.yaml:
		return printTo(c, func(w io.Writer) error { _, err := w.Write(text); return err })
	case f.json:
		return printTo(c, func(w io.Writer) error { return encodeLine(w, oracle.Describe(s)) })
	case f.sample > 0 || f.config || f.point != "":
		return f.points(c, s, args[0])
	}
	return printTo(c, func(w io.Writer) error { return showSpace(w, s, styleOf(c)) })
}

func encodeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// list prints the spaces that come with strata.
func (f *oracleSpace) list(c *cobra.Command) error {
	t := report.Table{Columns: []report.Column{{Title: "name", Name: "name"}, {Title: "points", Name: "points", Right: true}, {Title: "parameters", Name: "parameters", Right: true},
		{Title: "machine", Name: "arch"}, {Title: "model", Name: "model"}, {Title: "description", Name: "description", Max: 72}}}
	for _, name := range oracle.Spaces() {
		s, _, err := readSpace(name, "")
		if err != nil {
			return err
		}
		var points any
		if n, ok := s.Size(); ok {
			points = int64(n)
		}
		t.Rows = append(t.Rows, []any{name, points, int64(len(s.Axes())), s.File.Arch, s.File.Model, s.File.Description})
	}
	form := "table"
	if f.json {
		form = "json"
	}
	return printTable(c, form, &t)
}

// drawn are points of a space: the one that was given, or some.
func (f *oracleSpace) drawn(s *sweep.Space) ([][]sweep.Value, error) {
	if f.point != "" {
		values, bad := oracle.ReadPoint(s, []byte(f.point))
		if bad != nil {
			message := bad.Message
			if name, ok := strings.CutPrefix(bad.Path, "/point/"); ok {
				message = name + ": " + message
			}
			return nil, &experiments.Invalid{Field: "point", Message: message, Hint: bad.Hint}
		}
		return [][]sweep.Value{values}, nil
	}
	return s.Sample(uint64(f.seed), int(max(f.sample, 1))), nil
}

// points prints points as requests or as models.
func (f *oracleSpace) points(c *cobra.Command, s *sweep.Space, name string) error {
	points, err := f.drawn(s)
	if err != nil {
		return err
	}
	if len(points) == 0 {
		return &failed{exitDoesNotFit, "no feasible point was found: the constraints are too tight for points that are drawn at random"}
	}
	if n := max(f.sample, 1); int64(len(points)) < n && f.point == "" {
		note(c, fmt.Sprintf("only %d of %d points: few of those that were drawn are feasible", len(points), n))
	}
	build := sweep.NewBuilder(s)
	return printTo(c, func(w io.Writer) error {
		for i, values := range points {
			line := oracle.SpaceRequest(s, fmt.Sprint(i), name, values)
			if f.config {
				candidate, err := build.Candidate(values)
				if err != nil {
					return inputError(err)
				}
				if line, err = candidate.Model.Config(); err != nil {
					return badInput{fmt.Errorf("point %s: %w", s.Parameters(values), err)}
				}
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// shownPoints is how many points of a space are shown.
const shownPoints = 4

// showSpace prints a space for people.
func showSpace(w io.Writer, s *sweep.Space, style report.Style) error {
	d := oracle.Describe(s)
	page := &report.Page{Style: style}
	title := s.File.Name
	if n, ok := s.Size(); ok {
		title += fmt.Sprintf(": %.0f points", n)
	} else {
		title += ": points without end"
	}
	page.Title(fmt.Sprintf("%s of %d parameters", title, len(d.Parameters)))
	if s.File.Description != "" {
		page.Linef("  %s", s.File.Description)
	}
	page.Linef("")
	page.Linef("  machine  %s", of(s.File.Arch, "on an axis"))
	page.Linef("  model    %s", of(s.File.Model, "on an axis"))
	page.Linef("")
	t := report.Table{Columns: []report.Column{{Title: "parameter", Name: "name"}, {Title: "type", Name: "type"}, {Title: "takes", Name: "takes", Max: 72}, {Title: "when", Name: "when"}}}
	for _, p := range s.Describe() {
		t.Rows = append(t.Rows, []any{p.Name, p.Type, p.Takes(), p.When})
	}
	page.Table(&t)
	if len(d.Constraints) > 0 {
		page.Linef("")
		for _, c := range d.Constraints {
			page.Linef("  only if  %s", c)
		}
	}
	if len(d.Objectives) > 0 {
		page.Linef("")
		for _, o := range d.Objectives {
			page.Linef("  %s  %s", map[string]string{"min": "least", "max": "most "}[o.Goal], o.Column)
		}
	}
	if l := s.Law(); l != nil {
		page.Linef("")
		page.Linef("  loss_proxy  %s", l.Source)
	}
	points := s.Sample(0, shownPoints)
	page.Linef("")
	if len(points) == 0 {
		page.Linef("  no feasible point was found")
		return page.Write(w)
	}
	some := report.Table{}
	for i, name := range s.Axes() {
		some.Columns = append(some.Columns, report.Column{Title: name, Name: name, Right: true, Show: func(v any) string { return s.Written(i, v.(sweep.Value)) }})
	}
	some.Columns = append(some.Columns, report.Column{Title: "parameters", Name: "parameters", Right: true, Show: func(v any) string { return fmt.Sprintf("%.3g billion", v.(float64)/1e9) }})
	build := sweep.NewBuilder(s)
	for _, values := range points {
		candidate, err := build.Candidate(values)
		if err != nil {
			return err
		}
		row := make([]any, 0, len(values)+1)
		for _, v := range values {
			row = append(row, v)
		}
		some.Rows = append(some.Rows, append(row, float64(candidate.Model.Parameters())))
	}
	page.Table(&some)
	return page.Write(w)
}

func of(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
