package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
)

// Most figures of a machine that the text lists; CSV and JSON have all.
const mostFigures = 20

// ablation prints what the run would take without each effect, if that was asked for: a column for each fidelity.
func (r *runReport) ablation() {
	rows := r.a.Ablation
	if len(rows) == 0 {
		return
	}
	r.head("Without an effect")
	fidelities := []string{rows[0].Fidelity}
	for _, row := range rows {
		if row.Fidelity != fidelities[len(fidelities)-1] {
			fidelities = append(fidelities, row.Fidelity)
		}
	}
	t := Table{Columns: []Column{{Title: "left out"}}}
	for _, f := range fidelities {
		t.Columns = append(t.Columns, Column{Title: f, Right: true}, Column{Title: "delta", Right: true}, Column{Title: "change", Right: true}, Column{Title: "energy", Right: true})
	}
	var reasons []string
	n := len(rows) / len(fidelities)
	for i := range n {
		line := []any{rows[i].Effect}
		for k := range fidelities {
			row := &rows[i+k*n]
			if row.Note != "" {
				line = append(line, nil, nil, nil, nil)
				continue
			}
			line = append(line, Seconds(row.Seconds), Signed(Seconds, row.DeltaSeconds), SignedPercent(row.LatencyPercent/100), SignedPercent(row.EnergyPercent/100))
		}
		if note := rows[i].Note; note != "" {
			reasons = append(reasons, rows[i].Effect+": "+note)
			continue
		}
		t.Rows = append(t.Rows, line)
	}
	r.indented(&t)
	for _, text := range reasons {
		r.b.WriteString(wrap("  ", text))
	}
}

// sensitivity prints what a change of each figure of the machine does, if that was asked for.
func (r *runReport) sensitivity() {
	run := r.a.Sensitivity
	if run == nil {
		return
	}
	r.head(fmt.Sprintf("%s of each figure of the machine, plan %s", Signed(Percent, run.ByPercent/100), run.Plan))
	change := func(v float64) string { return SignedPercent(v / 100) }
	t := Table{Columns: []Column{{Title: "figure"}, {Title: "value", Right: true}, {Title: "changed", Right: true}, {Title: "latency", Right: true},
		{Title: "elasticity", Right: true}, {Title: "energy", Right: true}, {Title: "power", Right: true}}}
	more := 0
	for i := range r.a.Sensitivities {
		s := &r.a.Sensitivities[i]
		if i >= mostFigures {
			more++
			continue
		}
		t.Rows = append(t.Rows, []any{ending(s.Path, 42), s.Value, change(s.ChangePercent), percent2(s.LatencyPercent), elasticity(s.Elasticity), change(s.EnergyPercent), change(s.PowerPercent)})
	}
	if len(t.Rows) > 0 {
		r.indented(&t)
	}
	if more > 0 {
		r.printf("  and %s with less effect on latency\n", counted(more, "figure"))
	}
	list := func(what string, n int) {
		if n > 0 {
			r.printf("  %s: %s\n", what, counted(n, "figure"))
		}
	}
	for _, u := range run.Unanswered {
		to := ""
		if u.ChangedTo != "" {
			to = " → " + u.ChangedTo
		}
		r.b.WriteString(wrap("  not tried: ", fmt.Sprintf("%s %s%s: %s", u.Path, u.Value, to, u.Reason)))
	}
	list("no effect", len(run.NoEffect))
	list("of runtime profiles that this run does not use", len(run.NotUsed))
	if more+len(run.NoEffect)+len(run.NotUsed) > 0 {
		r.printf("  -o json names them all\n")
	}
}

// ending cuts a path to n columns at its front, since its end says what it is.
func ending(path string, n int) string {
	path = strings.Replace(path, "runtime.profiles[", "…[", 1)
	if r := []rune(path); len(r) > n {
		path = "…" + strings.TrimPrefix(string(r[len(r)-n+1:]), "…")
	}
	return path
}

// elasticity prints one without a sign where it is positive, and none where it is nothing to two digits.
func elasticity(v float64) string {
	if math.Abs(v) < 0.005 {
		return "0.00"
	}
	return strings.TrimPrefix(Signed(two, v), "+")
}

func two(v float64) string { return fmt.Sprintf("%.2f", v) }

// percent2 prints a percentage with its sign and two digits, since many figures do little.
func percent2(v float64) string {
	if math.Abs(v) < 0.005 {
		return "0.00 %"
	}
	return Signed(func(v float64) string { return two(v) + " %" }, v)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// AblationCSV writes the ablation table.
func AblationCSV(w io.Writer, rows []eval.Ablation) error {
	t := named("effect", "fidelity", "left_out", "seconds", "delta_seconds", "latency_percent", "joules", "energy_percent", "note")
	for i := range rows {
		r := &rows[i]
		t.Rows = append(t.Rows, []any{r.Effect, r.Fidelity, strings.Join(r.Left, "+"), r.Seconds, r.DeltaSeconds, r.LatencyPercent, r.Joules, r.EnergyPercent, r.Note})
	}
	return t.CSV(w)
}

// SensitivityCSV writes the sensitivities, those without an effect and those that were not tried too, the latter with
// the reason.
func SensitivityCSV(w io.Writer, rows []eval.Sensitivity, run *eval.SensitivityRun) error {
	t := named("path", "kind", "value", "changed_to", "change_percent", "seconds", "latency_percent", "elasticity", "joules", "energy_percent", "average_watts", "power_percent", "note")
	for i := range rows {
		s := &rows[i]
		t.Rows = append(t.Rows, []any{s.Path, s.Kind, s.Value, s.ChangedTo, s.ChangePercent, s.Seconds, s.LatencyPercent, s.Elasticity, s.Joules, s.EnergyPercent, s.AverageWatts, s.PowerPercent, nil})
	}
	rest := func(path, value, to, note string) {
		row := append([]any{path, nil, value, to}, slices.Repeat([]any{nil}, 8)...)
		t.Rows = append(t.Rows, append(row, note))
	}
	for _, u := range run.Unanswered {
		rest(u.Path, u.Value, u.ChangedTo, u.Reason)
	}
	for _, path := range run.NoEffect {
		rest(path, "", "", "no effect")
	}
	for _, path := range run.NotUsed {
		rest(path, "", "", "of a runtime profile that this run does not use")
	}
	return t.CSV(w)
}

// named is a table for programs with these columns.
func named(names ...string) *Table {
	t := &Table{}
	for _, n := range names {
		t.Columns = append(t.Columns, Column{Name: n})
	}
	return t
}
