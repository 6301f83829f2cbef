package calibration

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/validation"
	"github.com/stratasim/strata/traces"
)

// A Row is a measured kernel.
type Row struct {
	*validation.Case
	Machine  string  // that is asked: a preset or a file
	Class    string  // of operator
	Measured float64 // seconds
	Profile  string  // of the runtime, as the machine picks it by the row's hints
}

// BadRow is a row that is left out, and why.
type BadRow struct {
	Line int
	Why  string
}

// Data is what a file of measurements has to say about a machine and its relatives.
type Data struct {
	File  string
	Rows  []Row
	Bad   []BadRow // rows that no kernel can have taken, or that cannot be read
	Other []validation.Left
	Taken []string // devices that no preset is known for, taken to be the machine
}

// Read reads a file of measurements for a machine, and for the other members of its family if the file has them. Classes and
// devices say which rows; none means all. Machine is asked for its own rows and for those of devices that no preset is known for.
func Read(ctx context.Context, file, machine string, base string, family func(preset string) string, classes []string, load func(string) (*arch.Machine, error)) (*Data, error) {
	cases, bad, left, err := validation.Kernels(file)
	if err != nil {
		return nil, err
	}
	d := &Data{File: file}
	for _, e := range bad {
		d.Bad = append(d.Bad, BadRow{validation.LineOf(e), validation.Reason(e)})
	}
	others := map[string]int{}
	for _, l := range left {
		others[l.Reason] += l.Rows
	}
	machines := map[string]*arch.Machine{}
	relatives := map[string]bool{} // machines of data: whether they are of the family
	asked := oracle.New(oracle.Options{Files: true, Workers: 1})
	for i := range cases {
		c := &cases[i]
		f := &c.Figures[0]
		if _, known := relatives[c.Arch]; !known && c.Arch != "" {
			relatives[c.Arch] = family(c.Arch) != "" && family(c.Arch) == family(base)
		}
		r := Row{Case: c, Machine: machine, Class: f.Class, Measured: 1e-6 * f.Measured}
		switch {
		case len(classes) > 0 && !slices.Contains(classes, f.Class):
			others["class "+f.Class]++
			continue
		case c.Arch == "":
			if !slices.Contains(d.Taken, c.Device) {
				d.Taken = append(d.Taken, c.Device)
			}
		case c.Arch == base:
		case relatives[c.Arch]:
			r.Machine = c.Arch
		default:
			others["device "+c.Device]++
			continue
		}
		m := machines[r.Machine]
		if m == nil {
			if m, err = load(r.Machine); err != nil {
				return nil, err
			}
			machines[r.Machine] = m
		}
		if c.Work == nil {
			c.Work = work(m, c)
		}
		a, err := validation.Ask(ctx, asked, request(&r, nil, "analytic"))
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			d.Bad = append(d.Bad, BadRow{c.Line, err.Error()})
			continue
		}
		if why := validation.Impossible(m, c, r.Measured); why != "" {
			d.Bad = append(d.Bad, BadRow{c.Line, why})
			continue
		}
		r.Profile, _ = a["runtime"].(string)
		d.Rows = append(d.Rows, r)
	}
	slices.SortStableFunc(d.Bad, func(a, b BadRow) int { return a.Line - b.Line })
	for _, reason := range slices.Sorted(maps.Keys(others)) {
		d.Other = append(d.Other, validation.Left{Reason: reason, Rows: others[reason]})
	}
	return d, nil
}

// work is the roofline of a product on a machine that no data sheet is at hand for.
func work(m *arch.Machine, c *validation.Case) *validation.Roofline {
	op, _ := c.Request["op"].(validation.Fields)
	d := func(name string) float64 { v, _ := op[name].(int64); return float64(v) }
	dtype, err := traces.ParseDType(fmt.Sprint(op["dtype"]))
	off := m.OffChip()
	if op["kind"] != "gemm" || err != nil || off == nil {
		return nil
	}
	per, err := m.Chip.Cores.Matrix.Rate(dtype)
	if err != nil {
		return nil
	}
	rate := 2 * float64(per) * float64(m.Chip.Cores.Count) * float64(m.Chip.Clock)
	bytes := float64(dtype.Bytes(int64(d("m")*d("k") + d("k")*d("n"))))
	return &validation.Roofline{Compute: 2 * d("m") * d("n") * d("k") / rate, Memory: bytes / float64(off.Peak(m.Chip.Clock)), Devices: 1}
}

// request is what a row asks for, of its machine with changes.
func request(r *Row, set map[string]string, fidelity string) validation.Fields {
	q := validation.Fields{}
	maps.Copy(q, r.Request)
	q["fidelity"] = fidelity
	q["arch"] = r.Machine
	if len(set) > 0 {
		q["arch"] = validation.Fields{"base": r.Machine, "set": set}
	}
	return q
}

// Errors sums up relative errors.
type Errors struct {
	Rows       int
	Mean, Bias float64
}

func (e *Errors) add(predicted, measured float64) {
	off := predicted/measured - 1
	e.Rows++
	e.Mean += math.Abs(off)
	e.Bias += off
}

func (e *Errors) done() {
	if e.Rows > 0 {
		e.Mean /= float64(e.Rows)
		e.Bias /= float64(e.Rows)
	}
}
