package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/stratasim/strata/experiments/studies"
)

// Study writes what a study came to: what it is about, a table for each of its parts, and how many rows reach their target.
func Study(w io.Writer, r *studies.Result, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.bold(r.Study))
	b.WriteString(wrap("", r.Title))
	for _, p := range r.About {
		b.WriteString("\n" + wrap("", p))
	}
	for i := 0; i < len(r.Rows); {
		end := i
		for end < len(r.Rows) && r.Rows[end].Part == r.Rows[i].Part {
			end++
		}
		fmt.Fprintf(&b, "\n%s\n", s.bold(r.Rows[i].Part))
		t := StudyRows(r.Rows[i:end])
		for _, l := range t.lines() {
			fmt.Fprintf(&b, "  %s\n", l)
		}
		for _, n := range notes(r.Rows[i:end]) {
			b.WriteString(wrap("  ", n))
		}
		i = end
	}
	fmt.Fprintf(&b, "\n%d of %d judged figures within their target\n", r.Within, r.Judged)
	return s.write(w, b.String())
}

// notes are those of the rows, each once, and the sources.
func notes(rows []studies.Row) []string {
	var list []string
	seen, times := map[string]bool{}, map[string]int{}
	add := func(text string) {
		if text != "" && !seen[text] {
			seen[text] = true
			list = append(list, text)
		}
	}
	for i := range rows {
		times[rows[i].Note]++
	}
	for i := range rows {
		switch n := rows[i].Note; {
		case n == "":
		case times[n] == 1:
			add(rows[i].Name + ": " + n)
		default: // of several rows
			add("note: " + n)
		}
	}
	for i := range rows {
		if rows[i].Source != "" {
			add("source: " + rows[i].Source)
		}
	}
	return list
}

// StudyRows is the table of rows of a study.
func StudyRows(rows []studies.Row) *Table {
	t := &Table{Columns: []Column{{Name: "part"}, {Title: "figure", Name: "name"}, {Title: "ours", Right: true}, {Title: "published", Right: true}, {Title: "error", Right: true},
		{Title: "target", Right: true}, {Title: "basis", Name: "basis"},
		{Name: "unit"}, {Name: "ours"}, {Name: "published"}, {Name: "published_to"}, {Name: "error"}, {Name: "target"}, {Name: "within"}, {Name: "source"}, {Name: "note"}}}
	positive := func(v float64) any {
		if v == 0 {
			return nil
		}
		return v
	}
	for i := range rows {
		r := &rows[i]
		show := func(v float64) string {
			switch r.Unit {
			case "s":
				return Seconds(v)
			case "":
				return count(v)
			}
			return count(v) + " " + r.Unit
		}
		published, off, target := "", "", ""
		var e, within any
		if r.Compared() {
			published, off = show(r.Published), percentOff(r.Error())
			if r.Bound != "" {
				published = r.Bound + " " + published
			}
			if r.PublishedTo != 0 {
				published = show(r.Published) + " to " + show(r.PublishedTo)
			}
			e = r.Error()
		}
		if r.Judged() {
			within = r.Within()
			target = fmt.Sprintf("%.0f %%", 100*r.Target)
			switch {
			case r.Bound != "":
				target = "bound"
			case r.Exact:
				target = "exact"
			}
			if !r.Within() {
				target += " missed"
			}
		}
		t.Rows = append(t.Rows, []any{r.Part, r.Name, show(r.Ours), published, off, target, string(r.Basis),
			r.Unit, r.Ours, positive(r.Published), positive(r.PublishedTo), e, positive(r.Target), within, r.Source, r.Note})
	}
	return t
}

// count prints a whole number as one, others with four digits.
func count(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e6 {
		return fmt.Sprintf("%.0f", v)
	}
	return digits(v)
}

// percentOff prints an error with its sign, none for one of nothing.
func percentOff(e float64) string {
	if math.Abs(e) < 0.0005 {
		return "0.0 %"
	}
	return fmt.Sprintf("%+.1f %%", 100*e)
}
