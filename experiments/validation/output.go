package validation

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
)

// IsBadRow reports whether an error is about what a file of measurements holds.
func IsBadRow(err error) bool {
	var bad *badRow
	return errors.As(err, &bad)
}

// FileSuite is a suite of one file in the schema of kernels. Rows that no kernel can have taken are left out.
func FileSuite(file string) Suite {
	base := filepath.Base(file)
	return Suite{Name: strings.TrimSuffix(base, filepath.Ext(base)), Title: file, load: func(_ string, l *loaded) error {
		cases, bad, left, err := Kernels(file)
		if err != nil {
			return err
		}
		if len(bad) > 0 {
			return bad[0]
		}
		for _, f := range left {
			l.left[f.Reason] += f.Rows
		}
		known := map[string]*arch.Machine{}
		for i := range cases {
			c := &cases[i]
			if m := known[c.Arch]; m == nil && c.Arch != "" {
				if m, err := presets.Machine(c.Arch); err == nil { // else Run says that there is none
					known[c.Arch] = m
				}
			}
			if m := known[c.Arch]; m != nil && c.Figures[0].Unit == "us" {
				if why := Impossible(m, c, 1e-6*c.Figures[0].Measured); why != "" {
					l.leave(fmt.Sprintf("line %d: %s", c.Line, why))
					continue
				}
			}
			l.cases = append(l.cases, *c)
		}
		return nil
	}}
}

// BaseOf is the preset that a file of a machine changes, or the name that it has itself.
func BaseOf(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%w", err)
	}
	for _, key := range []*regexp.Regexp{baseKey, nameKey} {
		if m := key.FindSubmatch(text); m != nil {
			return string(m[1]), nil
		}
	}
	return "", fmt.Errorf("%s: neither base nor name: this is no machine", file)
}

var (
	baseKey = regexp.MustCompile(`(?m)^base:\s*"?([^\s"#]+)`)
	nameKey = regexp.MustCompile(`(?m)^name:\s*"?([^\s"#]+)`)
)

// WriteRows writes all rows as CSV: one line a figure, shape columns of all suites side by side.
func WriteRows(w io.Writer, results []*Result) error {
	var shape []string
	for _, r := range results {
		for i := range r.Rows {
			for _, c := range r.Rows[i].Columns {
				if !slices.Contains(shape, c.Name) {
					shape = append(shape, c.Name)
				}
			}
		}
	}
	out := csv.NewWriter(w)
	head := []string{"suite", "class", "device", "arch", "dtype", "source", "half", "id", "name", "unit", "measured", "predicted", "error", "bound_by", "floor_seconds", "roofline_error", "calibrated_error"}
	_ = out.Write(append(append(head, shape...), "file", "line")) // Flush keeps the error
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 7, 64) }
	for _, r := range results {
		for i := range r.Rows {
			row := &r.Rows[i]
			line := []string{row.Suite, row.Class, row.Device, row.Arch, row.DType, row.Source, row.Key("half"), row.ID, row.Name, row.Unit, number(row.Measured), number(row.Predicted), number(row.Error()), row.BoundBy}
			if row.Floor > 0 {
				line = append(line, number(row.Floor))
			} else {
				line = append(line, "")
			}
			if row.Calibrated > 0 {
				line = append(line, number(row.Roofline/row.seconds()-1), number(row.Calibrated/row.seconds()-1))
			} else {
				line = append(line, "", "")
			}
			values := map[string]string{}
			for _, c := range row.Columns {
				values[c.Name] = c.Value
			}
			for _, name := range shape {
				line = append(line, values[name])
			}
			_ = out.Write(append(line, row.File, strconv.Itoa(row.Line)))
		}
	}
	out.Flush()
	return out.Error()
}

// groupJSON is a line of the answer.
type groupJSON struct {
	Keys       map[string]string `json:"of"`
	Rows       int               `json:"rows"`
	Mean       float64           `json:"mean_error"`
	Median     float64           `json:"median_error"`
	P90        float64           `json:"p90_error"`
	Bias       float64           `json:"bias"`
	Roofline   *float64          `json:"roofline_error,omitempty"`
	Calibrated *float64          `json:"calibrated_roofline_error,omitempty"`
	Worst      []rowJSON         `json:"worst,omitempty"`
}

type rowJSON struct {
	Name      string  `json:"name"`
	Predicted float64 `json:"predicted"`
	Measured  float64 `json:"measured"`
	Unit      string  `json:"unit"`
	Error     float64 `json:"error"`
	File      string  `json:"file"`
	Line      int     `json:"line"`
}

type leftJSON struct {
	Suite  string `json:"suite"`
	Reason string `json:"reason"`
	Rows   int    `json:"rows"`
}

type failedJSON struct {
	Suite string `json:"suite"`
	File  string `json:"file"`
	Line  int    `json:"line"`
	Name  string `json:"name"`
	Why   string `json:"why"`
}

// WriteJSON writes groups, what was left out and what failed as one object, strata.validate/1.
func WriteJSON(w io.Writer, fidelity string, by []string, results []*Result, groups []Group) error {
	answer := struct {
		Schema   string       `json:"schema"`
		Fidelity string       `json:"fidelity"`
		By       []string     `json:"by"`
		Groups   []groupJSON  `json:"groups"`
		Left     []leftJSON   `json:"left_out"`
		Failed   []failedJSON `json:"failed"`
	}{"strata.validate/1", fidelity, by, []groupJSON{}, []leftJSON{}, []failedJSON{}}
	known := func(v float64) *float64 {
		if math.IsNaN(v) {
			return nil
		}
		return &v
	}
	for i := range groups {
		g := &groups[i]
		j := groupJSON{map[string]string{}, g.N, g.Mean, g.Median, g.P90, g.Bias, known(g.Roofline), known(g.Calibrated), nil}
		for k, name := range by {
			j.Keys[name] = g.Keys[k]
		}
		for _, r := range g.Worst {
			j.Worst = append(j.Worst, rowJSON{r.Name, r.Predicted, r.Measured, r.Unit, r.Error(), r.File, r.Line})
		}
		answer.Groups = append(answer.Groups, j)
	}
	for _, r := range results {
		for _, l := range r.Left {
			answer.Left = append(answer.Left, leftJSON{r.Suite.Name, l.Reason, l.Rows})
		}
		for _, f := range r.Failed {
			answer.Failed = append(answer.Failed, failedJSON{r.Suite.Name, f.Case.File, f.Case.Line, f.Case.Name, f.Why})
		}
	}
	return json.NewEncoder(w).Encode(answer)
}
