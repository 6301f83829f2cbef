package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/shard"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/sweep"
	"github.com/stratasim/strata/sim/units"
)

// databases lists the files that arguments name: files, and all databases in folders, each once.
func databases(words []string, but string) ([]string, error) {
	var files []string
	var problems experiments.Problems
	for _, word := range words {
		info, err := os.Stat(word)
		if err != nil || !info.IsDir() {
			files = append(files, word) // whoever opens it says what is wrong with it
			continue
		}
		inside, err := filepath.Glob(filepath.Join(escapeGlob(word), "*.db"))
		inside = slices.DeleteFunc(inside, func(f string) bool {
			return strings.HasPrefix(filepath.Base(f), ".") || but != "" && sameFile(f, but)
		})
		if err == nil && len(inside) == 0 {
			err = fmt.Errorf("%s: there is no database in this folder (*.db)", word)
		}
		problems.Add(err)
		slices.Sort(inside)
		files = append(files, inside...)
	}
	if err := problems.Err(); err != nil {
		return nil, badInput{err}
	}
	return files, nil
}

func escapeGlob(path string) string {
	return regexp.MustCompile(`[*?\[\\]`).ReplaceAllString(path, `\$0`)
}

var shardName = regexp.MustCompile(`-of-([0-9]+)\.db$`)

// shardsOf is the number of shards that files are of: what their names say, else the number of files.
func shardsOf(files []string) int64 {
	n := int64(len(files))
	for _, f := range files {
		m := shardName.FindStringSubmatch(f)
		if m == nil {
			return n
		}
		if count, err := strconv.ParseInt(m[1], 10, 64); err == nil && count > 0 && count <= shard.MaxCount {
			n = count
		}
	}
	return n
}

// missing are the points of a sweep that have no result, by shard.
type missing struct {
	total  int64
	shards int64
	count  map[int64]int64   // by shard
	first  map[int64][]int64 // some of them
}

func newMissing(shards int64) *missing {
	return &missing{shards: max(shards, 1), count: map[int64]int64{}, first: map[int64][]int64{}}
}

func (m *missing) add(point int64) {
	const show = 5
	i := point % m.shards
	m.total++
	m.count[i]++
	if len(m.first[i]) < show {
		m.first[i] = append(m.first[i], point)
	}
}

// text says which points of which shards are missing, and how to run them.
func (m *missing) text(of int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d points are missing", m.total, of)
	shards := make([]int64, 0, len(m.count))
	for i := range m.count {
		shards = append(shards, i)
	}
	slices.Sort(shards)
	const show = 20
	for k, i := range shards {
		if k == show {
			fmt.Fprintf(&b, "\nand of %d more shards", len(shards)-show)
			break
		}
		fmt.Fprintf(&b, "\nshard %d/%d: %d, %s", i, m.shards, m.count[i], indexList(m.first[i], m.count[i]))
	}
	if m.shards > 1 {
		words := make([]string, min(len(shards), show))
		for k := range words {
			words[k] = fmt.Sprint(shards[k])
		}
		fmt.Fprintf(&b, "\nhint: run those shards again (strata sweep submit --shards %d --only %s) and merge again", m.shards, strings.Join(words, ","))
	}
	return b.String()
}

func indexList(first []int64, count int64) string {
	words := make([]string, len(first))
	for i, n := range first {
		words[i] = fmt.Sprint(n)
	}
	text := "points " + strings.Join(words, ", ")
	if count > int64(len(first)) {
		text += ", ..."
	}
	return text
}

// mergeSweep is strata sweep merge.
type mergeSweep struct {
	out, expect string
	newer       bool
	quiet       bool
	shards      int64
	problems    experiments.Problems
}

func newSweepMerge() *cobra.Command {
	f := &mergeSweep{}
	c := &cobra.Command{
		Use:   "merge DB... -o ALL.db",
		Short: "Put the databases of shards together, and say which points are missing",
		Long: `Copy the rows, inputs, sweeps and points of databases into one. A folder stands for all databases in it. Merging again
changes nothing, the order does not matter, and the result is the database that one process would have made.

Each file is merged as a whole or not at all. One that is missing, damaged, locked, of another program or of another
version of the models is an error, and so are two answers to one point; the others are merged all the same.

Exit code 4: points are missing that the sweep has.`,
		Example: `strata sweep merge results.shards -o results.db --expect sweep.yaml
strata sweep merge a.db b.db -o all.db --expect 8000`,
		Args: cobra.MinimumNArgs(1),
		RunE: f.run,
	}
	fs := c.Flags()
	fs.StringVarP(&f.out, "output", "o", "", "database `FILE` to merge into; it is made if there is none")
	fs.StringVar(&f.expect, "expect", "", "sweep file, or `NUMBER` of points, that should be there (default what the databases say of their sweeps)")
	fs.BoolVar(&f.newer, "newer", false, "of databases of several versions of the models, merge the rows and points of the newest")
	fs.Var(&count{name: "shards", into: &f.shards, min: 1, max: shard.MaxCount, problems: &f.problems}, "shards", "number of shards, to name those that lack points (default what names such as shard-3-of-8.db say)")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no line for each file")
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return c
}

var digits = regexp.MustCompile(`^[0-9]+$`)

func (f *mergeSweep) run(c *cobra.Command, args []string) (err error) {
	if f.out == "" {
		f.problems.Add(&experiments.Invalid{Field: "output", Message: "which database should all be merged into?", Hint: "such as -o results.db"})
	}
	var space *sweep.Space
	var want int64
	switch {
	case digits.MatchString(f.expect):
		if want, err = strconv.ParseInt(f.expect, 10, 64); err != nil || want == 0 {
			f.problems.Add(&experiments.Invalid{Field: "expect", Message: f.expect + ": no number of points"})
		}
	case f.expect != "":
		if space, err = readSweep(c, f.expect); err == nil {
			want = space.Points()
		}
		f.problems.Add(err)
	}
	if err := f.problems.Err(); err != nil {
		return err
	}
	files, err := databases(args, f.out)
	if err != nil {
		return err
	}
	if f.shards == 0 {
		f.shards = shardsOf(files)
	}
	_, statErr := os.Stat(f.out)
	db, err := store.Open(f.out, store.Options{ModelVersion: eval.Version, Tool: tool()})
	if err != nil {
		return err
	}
	merged := 0
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
		if merged == 0 && errors.Is(statErr, fs.ErrNotExist) {
			_ = os.Remove(f.out) // nothing is in it
		}
	}()
	results, err := db.Merge(c.Context(), files, store.MergeOptions{Newer: f.newer, Done: func(m store.MergedFile) {
		if m.Err != nil {
			return
		}
		merged++
		if !f.quiet {
			old := ""
			if m.OldRows+m.OldPoints > 0 {
				old = fmt.Sprintf("; left out as older: %d rows, %d points", m.OldRows, m.OldPoints)
			}
			fmt.Fprintf(c.ErrOrStderr(), "strata: %s: %d rows (%d new), %d points (%d new)%s\n", m.Path, m.Rows, m.NewRows, m.Points, m.NewPoints, old)
		}
	}})
	if c.Context().Err() != nil {
		return &failed{exitInterrupted, fmt.Sprintf("interrupted: %d of %d files were merged; run it again to go on", merged, len(files))}
	}
	var problems experiments.Problems
	for _, r := range results {
		problems.Add(r.Err)
	}
	if len(problems) == 0 {
		problems.Add(err)
	}
	lines, err := f.report(c, db, space, want)
	if len(problems) > 0 && merged == 0 {
		return problems.Err() // what is missing then is no news
	}
	problems.Add(err)
	if len(lines) > 0 {
		if e := printTo(c, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
			return err
		}); e != nil {
			problems.Add(e)
		}
	}
	return problems.Err()
}

// report has a line for each sweep in the database; the error says what is missing.
func (f *mergeSweep) report(c *cobra.Command, db *store.Store, space *sweep.Space, want int64) (lines []string, err error) {
	ctx := c.Context()
	list, err := db.Sweeps(ctx)
	if err != nil {
		return nil, err
	}
	var problems experiments.Problems
	found := false
	for _, w := range list {
		if w.Kind == "search" || space != nil && w.Name != space.File.Name {
			continue
		}
		found = true
		of, same := w.Count, func(int64) bool { return false }
		switch {
		case space != nil && w.SpecHash != space.Hash():
			problems.Add(badInput{fmt.Errorf("%s: its sweep %q has other points than %s now; was the file changed since?", f.out, w.Name, f.expect)})
			continue
		case space != nil:
			of, same = want, sameAsOthers(space)
		case want > 0:
			of = want
		default:
			// Points that are the same as others have no results; the file is needed to tell them.
			if s, err := sweep.Read(w.Name, []byte(w.Spec), besideFile{"."}); err == nil && s.Hash() == w.SpecHash {
				same = sameAsOthers(s)
			}
		}
		lacks, others, err := lacking(ctx, db, w.Name, of, f.shards, same)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("%s: %d of %d points in %s", w.Name, of-others-lacks.total, of-others, f.out))
		if lacks.total > 0 {
			problems.Add(&failed{exitSomeFailed, fmt.Sprintf("%s: sweep %s: %s", f.out, w.Name, lacks.text(of-others))})
		}
	}
	if !found && want > 0 {
		lacks := newMissing(f.shards)
		lacks.total = want
		problems.Add(&failed{exitSomeFailed, fmt.Sprintf("%s: there is no sweep in it; %d of %d points are missing", f.out, want, want)})
	}
	return lines, problems.Err()
}

// sameAsOthers tells which points of a space have no results of their own.
func sameAsOthers(s *sweep.Space) func(int64) bool {
	return func(i int64) bool {
		_, ok, err := s.Point(i)
		return !ok && err == nil
	}
}

// lacking finds the points of a sweep without results, and how many need none because they are the same as others.
func lacking(ctx context.Context, db *store.Store, name string, of, shards int64, same func(int64) bool) (lacks *missing, others int64, err error) {
	lacks = newMissing(shards)
	err = db.Missing(ctx, name, of, func(first, last int64) {
		for i := first; i <= last; i++ {
			if same(i) {
				others++
			} else {
				lacks.add(i)
			}
		}
	})
	return lacks, others, err
}

// sweepStatus is what strata sweep status prints.
type sweepStatus struct {
	Schema  string           `json:"schema"`
	Name    string           `json:"name"`
	Points  int64            `json:"points"` // those that are to be run
	Done    int64            `json:"done"`
	Missing int64            `json:"missing"`
	Status  map[string]int64 `json:"status"`
	Started string           `json:"started,omitempty"`
	Rate    float64          `json:"points_per_second,omitempty"`
	Shards  []shardStatus    `json:"shards,omitempty"`
	Reasons []statusReason   `json:"reasons"`
}

type shardStatus struct {
	Shard   string `json:"shard"`
	Points  int64  `json:"points"`
	Done    int64  `json:"done"`
	Failed  int64  `json:"failed"`
	Missing int64  `json:"missing"`
	First   *int64 `json:"first_missing,omitempty"`
}

type statusReason struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
	Points int64  `json:"points"`
	First  int64  `json:"first"`
}

func newSweepStatus() *cobra.Command {
	var dbs []string
	var form string
	var shards int64
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "status FILE",
		Short: "How far a sweep is: what its points came to, by shard, and why some failed",
		Long: `Say how many points of a sweep have results and what they came to, in one database or in those of its shards, which
may still be written to. A folder stands for all databases in it. -o csv lists the shards.`,
		Example: `strata sweep status sweep.yaml --db results.db
strata sweep status sweep.yaml --db results.shards`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := problems.Err(); err != nil {
				return err
			}
			space, err := readSweep(c, args[0])
			if err != nil {
				return err
			}
			files, err := databases(dbs, "")
			if err != nil {
				return err
			}
			if shards == 0 {
				shards = shardsOf(files)
			}
			s, err := readStatus(c.Context(), space, files, shards)
			if err != nil {
				return err
			}
			return printTo(c, func(w io.Writer) error { return s.print(w, form, styleOf(c)) })
		},
	}
	c.Flags().StringArrayVar(&dbs, "db", []string{"results.db"}, "results database `FILE`, or folder of those of the shards; may be given more than once")
	c.Flags().Var(&count{name: "shards", into: &shards, min: 1, max: shard.MaxCount, problems: &problems}, "shards", "number of shards (default what names such as shard-3-of-8.db say)")
	formFlag(c, &form, &problems)
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return c
}

// readStatus reads what points came to from databases. Of a point in several of them, one that did not fail counts.
func readStatus(ctx context.Context, space *sweep.Space, files []string, shards int64) (*sweepStatus, error) {
	name, hash := space.File.Name, space.Hash()
	reasons := []statusReason{{}} // by number; 0 is a point without a result
	numbers := map[[2]string]uint32{}
	points := make([]uint32, space.Points())
	again := sweep.Retried()
	s := &sweepStatus{Schema: "strata.sweep-status/1", Name: name, Status: map[string]int64{}, Reasons: []statusReason{}}
	var written time.Time
	var problems experiments.Problems
	one := func(file string) error {
		db, err := store.Open(file, store.Options{ReadOnly: true})
		if err != nil {
			return err
		}
		defer db.Close()
		list, err := db.Sweeps(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(w store.Sweep) bool { return w.Name == name })
		if i < 0 {
			return nil
		}
		if list[i].SpecHash != hash {
			return badInput{fmt.Errorf("%s: its sweep %q has other points than the file has now; was it changed since?", file, name)}
		}
		facts, err := db.Meta(ctx)
		if err != nil {
			return err
		}
		if at := facts["sweep."+name+".started"]; at != "" && (s.Started == "" || at < s.Started) {
			s.Started = at
		}
		for _, suffix := range []string{"", "-wal"} {
			if info, err := os.Stat(file + suffix); err == nil && info.Size() > 0 && info.ModTime().After(written) {
				written = info.ModTime()
			}
		}
		return db.PointStatuses(ctx, name, func(index int64, status, reason string) error {
			if index < 0 || index >= int64(len(points)) {
				return nil
			}
			reason = sweep.Group(status, reason)
			key := [2]string{status, reason}
			n, known := numbers[key]
			if !known {
				n = uint32(len(reasons))
				numbers[key] = n
				reasons = append(reasons, statusReason{Status: status, Reason: reason})
			}
			if old := points[index]; old == 0 || slices.Contains(again, reasons[old].Status) && !slices.Contains(again, status) {
				points[index] = n
			}
			return nil
		})
	}
	for _, file := range files {
		problems.Add(one(file))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	same := sameAsOthers(space)
	if shards > 1 {
		s.Shards = make([]shardStatus, shards)
		for i := range s.Shards {
			s.Shards[i].Shard = shard.Shard{Index: int64(i), Count: shards}.String()
		}
	}
	for i, n := range points {
		if n == 0 && same(int64(i)) {
			continue
		}
		part := &shardStatus{}
		if s.Shards != nil {
			part = &s.Shards[int64(i)%shards]
		}
		s.Points++
		part.Points++
		if n == 0 {
			s.Missing++
			part.Missing++
			if part.First == nil {
				first := int64(i)
				part.First = &first
			}
			continue
		}
		r := &reasons[n]
		s.Done++
		part.Done++
		s.Status[r.Status]++
		if slices.Contains(again, r.Status) {
			part.Failed++
		}
		if r.Points++; r.Points == 1 {
			r.First = int64(i)
		}
	}
	for _, r := range reasons {
		if r.Points > 0 && r.Reason != "" {
			s.Reasons = append(s.Reasons, r)
		}
	}
	order := sweep.Statuses()
	slices.SortStableFunc(s.Reasons, func(a, b statusReason) int { // what failed first, and then what is most
		if x, y := slices.Contains(again, a.Status), slices.Contains(again, b.Status); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Points, a.Points), cmp.Compare(slices.Index(order, a.Status), slices.Index(order, b.Status)), cmp.Compare(a.First, b.First))
	})
	if began, err := time.Parse(time.RFC3339, s.Started); err == nil && s.Done > 0 {
		if seconds := written.Sub(began).Seconds(); seconds >= 1 {
			s.Rate = float64(s.Done) / seconds
		}
	}
	return s, nil
}

func (s *sweepStatus) print(w io.Writer, form string, style report.Style) error {
	shards := &report.Table{Columns: []report.Column{{Title: "shard", Name: "shard"}, {Title: "points", Name: "points", Right: true}, {Title: "done", Name: "done", Right: true},
		{Title: "failed", Name: "failed", Right: true}, {Title: "missing", Name: "missing", Right: true}, {Title: "first missing", Name: "first_missing", Right: true}}}
	for _, p := range s.Shards {
		row := []any{p.Shard, p.Points, p.Done, p.Failed, p.Missing, nil}
		if p.First != nil {
			row[5] = *p.First
		}
		shards.Rows = append(shards.Rows, row)
	}
	switch form {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(s)
	case "csv":
		return shards.CSV(w)
	}
	page := &report.Page{Style: style}
	share := ""
	if s.Points > 0 {
		share = fmt.Sprintf(", %.1f %%", float64(s.Done)/float64(s.Points)*100)
	}
	page.Title(fmt.Sprintf("%s: %d of %d points%s", s.Name, s.Done, s.Points, share))
	var parts []string
	for _, status := range sweep.Statuses() {
		if n := s.Status[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if s.Missing > 0 {
		parts = append(parts, fmt.Sprintf("%d missing", s.Missing))
	}
	if parts != nil {
		page.Linef("  %s", strings.Join(parts, ", "))
	}
	if s.Rate > 0 {
		page.Linef("  %.3g points a second since %s", s.Rate, s.Started)
	}
	if len(shards.Rows) > 0 {
		page.Head("By shard")
		page.Table(shards)
	}
	if len(s.Reasons) > 0 {
		const most = 20
		t := &report.Table{Columns: []report.Column{{Title: "status", Name: "status"}, {Title: "points", Name: "points", Right: true}, {Title: "first", Name: "first", Right: true}, {Title: "reason", Name: "reason", Max: 100}}}
		for i, r := range s.Reasons {
			if i == most {
				t.Footer = fmt.Sprintf("and %d more reasons; -o json has them all", len(s.Reasons)-most)
				break
			}
			t.Rows = append(t.Rows, []any{r.Status, r.Points, r.First, r.Reason})
		}
		page.Head("Without an answer")
		page.Table(t)
	}
	return page.Write(w)
}

// submitSweep is strata sweep submit.
type submitSweep struct {
	job                        shard.Job
	to, limit, memory, program string
	only                       string
	submit                     bool
	problems                   experiments.Problems
}

func newSweepSubmit() *cobra.Command {
	f := &submitSweep{}
	c := &cobra.Command{
		Use:   "submit FILE --to slurm|pbs|k8s|local [-- FLAGS OF RUN]",
		Short: "Run a sweep in shards on a cluster: print the script, or submit it",
		Long: `Write what a scheduler is given to run a sweep in shards and to merge them when all are done: a shell script for Slurm,
PBS and this machine, YAML for Kubernetes. It is printed; --submit runs it instead.

Each shard works on a local disk and publishes its database to the folder ALL.shards beside --db every few minutes and
when it is told to stop. The same command runs what is left: shards that are complete end at once. --only 3,7 runs
those shards. docs/clusters.md tells about other schedulers.`,
		Example: `strata sweep submit sweep.yaml --to slurm --shards 64 --cpus 8 --time 2h --db results.db
strata sweep submit sweep.yaml --to slurm --shards 64 --only 3,7 --submit -- --timeout 2m`,
		RunE: f.run,
		Args: func(c *cobra.Command, args []string) error {
			if n := c.ArgsLenAtDash(); n >= 0 {
				args = args[:n]
			}
			return cobra.ExactArgs(1)(c, args)
		},
	}
	fs := c.Flags()
	fs.Var(&choice{"to", &f.to, shard.Engines, &f.problems}, "to", "scheduler: slurm, pbs, k8s, or local for this machine")
	complete(c, "to", func() []string { return shard.Engines })
	fs.Var(&count{name: "shards", into: &f.job.Shards, min: 1, max: shard.MaxCount, problems: &f.problems}, "shards", "number of shards (default one for 10 000 points, locally one for each processor)")
	fs.StringVar(&f.only, "only", "", "shards to run, such as `3,7` or 0-5 (default all)")
	fs.StringVar(&f.job.DB, "db", "results.db", "results database `FILE` that all shards are merged into; on Kubernetes its name in the volume")
	fs.StringVar(&f.limit, "time", "", "limit of a shard's `TIME`, such as 2h, 90m or 02:00:00 (default that of the site)")
	fs.StringVar(&f.memory, "mem", "", "`SIZE` of a shard's memory, such as 4 GiB or 4G (default that of the site)")
	fs.Var(&count{name: "cpus", into: &f.job.CPUs, min: 1, max: 4096, problems: &f.problems}, "cpus", "processors of a shard (default 1)")
	fs.StringVar(&f.job.Partition, "partition", "", "partition or queue `NAME` (default that of the site)")
	fs.StringVar(&f.program, "program", "", "strata on the machines that run shards, as a `PATH` (default this program)")
	fs.StringVar(&f.job.Image, "image", "", "Kubernetes: `IMAGE` of the container, which holds strata")
	fs.StringVar(&f.job.Claim, "claim", "", "Kubernetes: `NAME` of the claim of a volume that all nodes can write")
	fs.BoolVar(&f.submit, "submit", false, "submit it instead of printing it")
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return c
}

func (f *submitSweep) run(c *cobra.Command, args []string) error {
	invalid := func(field, message, hint string) {
		f.problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	if f.to == "" && len(f.problems) == 0 {
		invalid("to", "where to?", "one of "+strings.Join(shard.Engines, ", "))
	}
	if f.job.DB == "" {
		invalid("db", "the name of the file is empty", "perhaps a variable of the shell is not set")
	}
	if f.submit && f.to == "k8s" {
		invalid("submit", "what Kubernetes gets is only printed", "pipe it to: kubectl create -f -")
	}
	var err error
	if f.job.Time, err = timeLimit(f.limit); err != nil {
		invalid("time", err.Error(), "such as 2h, 90m or 02:00:00")
	}
	if f.job.Memory, err = memorySize(f.memory); err != nil {
		invalid("mem", fmt.Sprintf("%q: must be a size with its unit", shorten(f.memory)), "such as 4 GiB")
	}
	if f.job.Only, err = indexSet(f.only); err != nil {
		invalid("only", err.Error(), "such as 3,7 or 0-5")
	}
	space, err := readSweep(c, args[0])
	f.problems.Add(err)
	if err := f.problems.Err(); err != nil {
		return err
	}
	f.job.Flags = args[1:]
	f.job.Name, f.job.Text = space.File.Name, space.Text
	points := space.Points()
	if f.job.Shards == 0 {
		f.job.Shards = defaultShards(f.to, points, f.job.CPUs)
		note(c, fmt.Sprintf("shards: %d, of about %d points each (--shards)", f.job.Shards, (points+f.job.Shards-1)/f.job.Shards))
	} else if f.job.Shards > points {
		note(c, fmt.Sprintf("shards: %d, but points: %d, so some shards have none", f.job.Shards, points))
	}
	if err := f.paths(args[0]); err != nil {
		return err
	}
	script, err := f.job.Script(f.to)
	if err != nil {
		return badInput{err}
	}
	if !f.submit {
		return printTo(c, func(w io.Writer) error {
			_, err := io.WriteString(w, script)
			return err
		})
	}
	return runScript(c, f.to, script)
}

// paths makes the paths of the job those that other machines see too.
func (f *submitSweep) paths(file string) error {
	if f.job.Program = f.program; f.program == "" {
		f.job.Program = "strata"
		if f.to != "k8s" {
			own, err := os.Executable()
			if err != nil {
				return err
			}
			if strings.Contains(filepath.ToSlash(own), "/go-build") {
				return &experiments.Invalid{Field: "program", Message: "this program was built by go run and will be gone", Hint: "make static builds one that runs on all nodes; give its path"}
			}
			f.job.Program = own
		}
	}
	if f.to == "k8s" {
		return nil
	}
	if file == "-" {
		return &experiments.Invalid{Field: "FILE", Message: "standard input is not there for shards", Hint: "give the name of a file"}
	}
	var err, err2, err3 error
	f.job.File, err = filepath.Abs(file)
	f.job.DB, err2 = filepath.Abs(f.job.DB)
	if strings.ContainsRune(f.job.Program, filepath.Separator) {
		f.job.Program, err3 = filepath.Abs(f.job.Program)
	}
	return errors.Join(err, err2, err3)
}

// defaultShards is one for every 10 000 points, which take some minutes; on this machine one for its processors.
func defaultShards(engine string, points, cpus int64) int64 {
	n := (points + 9999) / 10000
	if engine == "local" {
		processors, _ := shard.Workers(os.LookupEnv, os.DirFS("/"))
		n = int64(processors) / max(cpus, 1)
	}
	return max(1, min(n, 1000, points))
}

var clockTime = regexp.MustCompile(`^(?:(\d{1,4})-)?(\d{1,5}):(\d{2})(?::(\d{2}))?$`)

// timeLimit reads 2h30m, HH:MM:SS, D-HH:MM:SS and, as Slurm does, MM:SS and a number of minutes.
func timeLimit(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	bad := fmt.Errorf("%q: no time", shorten(text))
	if m := clockTime.FindStringSubmatch(text); m != nil {
		var n [5]int64
		for i, part := range m[1:] {
			if part != "" {
				n[i+1], _ = strconv.ParseInt(part, 10, 64) // a few digits
			}
		}
		days, a, b, s := n[1], n[2], n[3], n[4]
		switch {
		case m[4] == "" && m[1] == "":
			return time.Duration(a)*time.Minute + time.Duration(b)*time.Second, nil
		case m[4] == "":
			return time.Duration(days)*24*time.Hour + time.Duration(a)*time.Hour + time.Duration(b)*time.Minute, nil
		}
		return time.Duration(days)*24*time.Hour + time.Duration(a)*time.Hour + time.Duration(b)*time.Minute + time.Duration(s)*time.Second, nil
	}
	if digits.MatchString(text) {
		text += "m"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, bad
	}
	return d, nil
}

var slurmSize = regexp.MustCompile(`^([0-9]{1,6})([KMGT])$`)

// memorySize reads sizes with units, and those that Slurm takes, whose letters are powers of 1024.
func memorySize(text string) (n units.Bytes, err error) {
	if text == "" {
		return 0, nil
	}
	if m := slurmSize.FindStringSubmatch(text); m != nil {
		text = m[1] + " " + m[2] + "iB"
	}
	if err = n.UnmarshalText([]byte(text)); err == nil && n <= 0 {
		err = errors.New("no memory")
	}
	return n, err
}

// indexSet reads 3,7 and 0-5; nil for nothing.
func indexSet(text string) ([]int64, error) {
	if text == "" {
		return nil, nil
	}
	var list []int64
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, err := strconv.ParseInt(from, 10, 64)
		b, err2 := strconv.ParseInt(to, 10, 64)
		if err != nil || err2 != nil || a < 0 || b < a || b-a > shard.MaxCount {
			return nil, fmt.Errorf("%q: no list of shards", shorten(text))
		}
		for i := a; i <= b; i++ {
			list = append(list, i)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// runScript runs a script that submits, or that runs the shards here, and ends with its exit code.
func runScript(c *cobra.Command, engine, script string) error {
	if command := map[string]string{"slurm": "sbatch", "pbs": "qsub"}[engine]; command != "" {
		if _, err := exec.LookPath(command); err != nil {
			return badInput{fmt.Errorf("there is no command %s here: is this a machine that jobs are submitted from?", command)}
		}
	}
	sh := exec.CommandContext(c.Context(), "sh", "-c", script)
	sh.Stdout, sh.Stderr = c.OutOrStdout(), c.ErrOrStderr()
	separate(sh) // Ctrl-C is for this program, which tells the script
	sh.Cancel = func() error { return sh.Process.Signal(syscall.SIGTERM) }
	processOf(c.Context()).delivering.Store(true) // what shards have done has to be published
	err := sh.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && c.Context().Err() != nil:
		return &failed{exitInterrupted, "interrupted: run it again to go on"}
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return &failed{exit.ExitCode(), ""}
	}
	return err
}
