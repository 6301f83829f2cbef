package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/diff"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/store"
)

func newDiff() *cobra.Command {
	o := &diffCommand{}
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Two results: which stall, operator, memory, component or input moved",
		Long: `Compare two results and say what moved from A to B: time by cause, phase and operator, traffic of each
memory tier, energy, power, and which inputs differ.

A result is a file that strata run -o json or strata op -o json wrote, - for standard input, or a row of
a results database, runs.db:KEY, of whose key the beginning is enough. With --db FILE, A and B are keys.

A row has its inputs. A JSON answer has hashes of them: machine and model are looked for among the presets
and in the files that --arch and --model name, and where they are not found the answer says so.

--attribute runs A again with one input at a time as in B, and says what each does by itself.

Exit codes: 0 compared, 2 bad input, 4 compared, and the latency is higher by more than --fail-above.`,
		Example: `strata diff before.json after.json
strata run --arch tpu-v4 --model llama2-7b --phase decode -o json | strata diff before.json -
strata diff runs.db:3fa9 runs.db:81c2 -o json
strata diff --db runs.db 3fa9 81c2 --attribute
strata diff before.json after.json --fail-above 2%`,
		Args: cobra.ExactArgs(2),
		RunE: o.run,
	}
	fs := c.Flags()
	fs.StringVar(&o.db, "db", "", "A and B are keys of rows of the results database `FILE`")
	fs.StringArrayVar(&o.arch, "arch", nil, "a machine `FILE` that a JSON answer may be of; may be repeated")
	fs.StringArrayVar(&o.model, "model", nil, "a model `FILE` that a JSON answer may be of; may be repeated")
	fs.StringVar(&o.failAbove, "fail-above", "", "exit with code 4 if the latency is higher by more than that, such as `2%`")
	fs.BoolVar(&o.attribute, "attribute", false, "run A again with one input at a time as in B, to say what each does")
	fs.BoolVar(&o.noProgress, "no-progress", false, "no line of progress on a terminal")
	formFlag(c, &o.form, &o.problems)
	complete(c, "arch", machineNames)
	complete(c, "model", modelNames)
	return c
}

// diffCommand is strata diff.
type diffCommand struct {
	db, form, failAbove string
	arch, model         []string
	attribute           bool
	noProgress          bool
	problems            experiments.Problems
}

func (o *diffCommand) run(c *cobra.Command, args []string) error {
	limit, limited := o.limit()
	var known diff.Candidates
	for _, name := range o.arch {
		m, err := experiments.MachineOf(name, nil)
		if o.problems.Add(inputError(err)); err == nil {
			known.Machines = append(known.Machines, m)
		}
	}
	for _, name := range o.model {
		m, err := experiments.ModelOf(name)
		if o.problems.Add(inputError(err)); err == nil {
			known.Models = append(known.Models, m)
		}
	}
	if args[0] == "-" && args[1] == "-" {
		o.problems.Add(badInput{errors.New("standard input can be one of the two results only")})
	}
	if err := o.problems.Err(); err != nil {
		return err
	}
	var sides [2]*diff.Result
	for i, name := range args {
		r, err := o.read(c, name)
		if err != nil {
			o.problems.Add(diffError(err))
			continue
		}
		r.Find(known)
		sides[i] = r
	}
	if err := o.problems.Err(); err != nil {
		return err
	}
	d := diff.Compare(sides[0], sides[1])
	if o.attribute {
		w := c.ErrOrStderr()
		p := startProgress(w, !o.noProgress && isTerminal(w))
		err := d.Attribute(c.Context(), sides[0], sides[1], func(done, of int) { p.say("inputs", done, of) })
		p.stop()
		if c.Context().Err() != nil {
			return c.Context().Err()
		}
		if err != nil {
			return &experiments.Invalid{Field: "attribute", Message: err.Error()}
		}
	}
	if o.form != "table" { // there the warnings are part of the text
		for _, text := range d.Warnings {
			note(c, text)
		}
	}
	if err := printTo(c, func(w io.Writer) error { return o.print(w, d, styleOf(c)) }); err != nil {
		return err
	}
	if limited && d.Time.Percent != nil && *d.Time.Percent > limit || limited && d.Time.Percent == nil && d.Time.After > 0 {
		return &failed{exitSomeFailed, fmt.Sprintf("the latency is higher by %s, more than the %g %% of --fail-above", report.ChangePercent(d.Time.Before, d.Time.After), limit)}
	}
	return nil
}

func (o *diffCommand) print(w io.Writer, d *diff.Diff, style report.Style) error {
	switch o.form {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(d)
	case "csv":
		return d.CSV(w)
	}
	return d.Text(w, style)
}

// limit reads --fail-above, in percent.
func (o *diffCommand) limit() (percent float64, limited bool) {
	if o.failAbove == "" {
		return 0, false
	}
	percent, ok := parsePercent(o.failAbove)
	if !ok || percent < 0 {
		o.problems.Add(&experiments.Invalid{Field: "fail-above", Message: fmt.Sprintf("%q: must be a percentage of at least 0", shorten(o.failAbove)), Hint: "such as 2%"})
	}
	return percent, true
}

// parsePercent reads "10%", "10 %" or "10".
func parsePercent(text string) (float64, bool) {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%")), 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// diffError marks as bad input what is no result.
func diffError(err error) error {
	var malformed *diff.Malformed
	if errors.As(err, &malformed) {
		return badInput{err}
	}
	return err
}

// read reads a result: a file, standard input, or a row of a database.
func (o *diffCommand) read(c *cobra.Command, name string) (*diff.Result, error) {
	if name == "-" {
		return readAnswer("standard input", c.InOrStdin())
	}
	if o.db != "" {
		return readRow(c, o.db, name)
	}
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, badInput{fmt.Errorf("%s: this is a folder, not a result", name)}
		}
		return readAnswer(name, f)
	}
	// A name with a colon that is no file is a row.
	if k := strings.LastIndexByte(name, ':'); k > 0 && errors.Is(err, fs.ErrNotExist) {
		return readRow(c, name[:k], name[k+1:])
	}
	return nil, badInput{fmt.Errorf("%s: %s (a result is a file, - for standard input, or DATABASE:KEY)", name, plainCause(err))}
}

func readAnswer(name string, from io.Reader) (*diff.Result, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxAnswer+1))
	switch {
	case err != nil:
		return nil, badInput{fmt.Errorf("%s: %w", name, err)}
	case len(data) > maxAnswer:
		return nil, badInput{fmt.Errorf("%s: more than %s, too large for a result", name, report.Size(maxAnswer))}
	case strings.HasPrefix(string(data[:min(len(data), 16)]), "SQLite format 3"):
		return nil, badInput{fmt.Errorf("%s: this is a database: name a row of it (%s:KEY, see: strata results list --db %s)", name, name, name)}
	}
	return diff.Read(name, data)
}

// maxAnswer bounds the JSON of an answer; those of long generations are some 100 kB.
const maxAnswer = 64 << 20

func readRow(c *cobra.Command, db, key string) (*diff.Result, error) {
	s, err := store.Open(db, store.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	row, err := s.Get(c.Context(), key)
	if err != nil {
		return nil, err
	}
	r, err := diff.OfRow(fmt.Sprintf("%s:%s", db, shortKey(row.Key)), row)
	if err != nil {
		return nil, badInput{err}
	}
	return r, nil
}
