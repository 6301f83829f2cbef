package whatif

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// Options of Sensitivities.
type Options struct {
	// By is the change of each figure, 0.1 for +10 %; more than −1.
	By float64
	// Only selects figures by path; * stands for any text, and the path of a part for all that is below it. "" is all.
	Only string
	// Fixed keeps the plan of the request: tiles, splits, buffers, what stays on chip, fusions, protocols. Otherwise the
	// changed machine is planned for anew.
	Fixed    bool
	Progress Progress
}

// Figure is a leaf of a machine whose unit says that it can be more or less.
type Figure struct {
	Path, Kind, Value string
	value             any
}

// Figures lists the figures of a machine that Sensitivities changes, in the order of its description.
func Figures(m *arch.Machine) []Figure {
	var list []Figure
	spec.Values(m, func(path string, value any) {
		if kind := kindOf(path, value); kind != "" {
			text := fmt.Sprint(value)
			list = append(list, Figure{path, kind, text, value})
		}
	})
	return list
}

// kindOf tells from the type of its unit what kind of figure a leaf is, "" for none.
func kindOf(path string, value any) string {
	for _, part := range []string{"energy.", "cost.", "chip.area.", "power.curve"} { // energies are components already, areas no part of a run; a curve is one thing
		if strings.HasPrefix(path, part) {
			return ""
		}
	}
	switch value.(type) {
	case units.Hertz:
		return "clock"
	case units.BytesPerSecond, units.BytesPerCycle:
		return "bandwidth"
	case units.OpsPerSecond:
		return "rate"
	case units.Bytes:
		if strings.HasSuffix(path, ".capacity") {
			return "capacity"
		}
		return "size"
	case units.Time, units.Cycles:
		return "latency"
	case units.Watts, units.Volts:
		return "power"
	case int64:
		switch {
		case strings.Contains(path, "_per_cycle"):
			return "rate"
		case strings.HasPrefix(path, "chip."), strings.HasPrefix(path, "system."):
			return "count"
		}
	}
	return ""
}

// profileOf returns the name of the runtime profile that a figure is of, "" for others.
func profileOf(path string) string {
	const before = "runtime.profiles["
	name, ok := strings.CutPrefix(path, before)
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, "]")
	return name
}

// changed returns the figure more by a share of it as text, and the factor that this is. Whole numbers are rounded, but
// change by at least one.
func (f *Figure) changed(by float64) (text string, factor float64, err error) {
	old, whole, _ := units.Number(f.value)
	switch {
	case old == 0:
		return "", 0, errors.New("it is 0")
	case by == 0:
		return f.Value, 1, nil
	}
	now := old * (1 + by)
	if whole {
		if now = math.Round(now); now == old {
			now = old + math.Copysign(1, by)
		}
		if now < 1 {
			return "", 0, errors.New("less of it is none")
		}
		if math.Abs(now) > 1<<62 {
			return "", 0, errors.New("it is too large to change")
		}
	} else {
		// Twelve digits are enough, and read better than those of a binary product.
		now, _ = strconv.ParseFloat(strconv.FormatFloat(now, 'g', 12, 64), 64)
	}
	return units.Like(f.value, now), now / old, nil
}

// Sensitivities answers the request once more for each figure of its machine, with that figure changed. base is the answer
// to the request itself. What helps or hurts most for its change comes first: whole numbers may change by more than was
// asked for.
func Sensitivities(ctx context.Context, r *eval.Request, base *eval.Answer, o Options) ([]eval.Sensitivity, *eval.SensitivityRun, error) {
	run := &eval.SensitivityRun{ByPercent: 100 * o.By, Plan: "chosen anew", NoEffect: []string{}, NotUsed: []string{}, Unanswered: []eval.Unanswered{}}
	if !(o.By > -1) || math.IsInf(o.By, 0) {
		return nil, nil, &plan.Invalid{Field: "by", Message: fmt.Sprintf("%g %%: must be more than −100 %%", 100*o.By)}
	}
	if o.Fixed {
		var err error
		if r, err = pinned(ctx, r, base); err != nil {
			return nil, nil, err
		}
		run.Plan = "fixed"
	}
	var figures []Figure
	all := Figures(r.Machine)
	for _, f := range all {
		switch profile := profileOf(f.Path); {
		case !selects(o.Only, f.Path):
		case profile != "" && profile != base.Runtime:
			run.NotUsed = append(run.NotUsed, f.Path)
		default:
			figures = append(figures, f)
		}
	}
	if len(figures)+len(run.NotUsed) == 0 {
		return nil, nil, noSuch(o.Only, all)
	}
	rows := make([]*eval.Sensitivity, len(figures))
	failed := make([]*eval.Unanswered, len(figures))
	err := Each(ctx, len(figures), o.Progress, func(i int) (err error) {
		rows[i], failed[i], err = one(ctx, r, base, &figures[i], o.By)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	list := []eval.Sensitivity{}
	for i, row := range rows {
		switch {
		case row == nil:
			run.Unanswered = append(run.Unanswered, *failed[i])
		case row.Seconds == base.Seconds && row.Joules == base.Energy.Joules && o.By != 0:
			run.NoEffect = append(run.NoEffect, row.Path)
		default:
			list = append(list, *row)
		}
	}
	slices.SortStableFunc(list, func(a, b eval.Sensitivity) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Elasticity), math.Abs(a.Elasticity)), cmp.Compare(math.Abs(b.EnergyPercent), math.Abs(a.EnergyPercent)))
	})
	return list, run, nil
}

// pinned is the request with all that was decided about its plan pinned.
func pinned(ctx context.Context, r *eval.Request, base *eval.Answer) (*eval.Request, error) {
	_, decisions, err := plan.Decide(r.Machine, r.Graph, r.Mapping)
	if err != nil {
		return nil, err
	}
	q := *r
	if q.Mapping.Pins, err = decisions.Export(); err != nil {
		return nil, fmt.Errorf("the plan cannot be fixed: %w", err)
	}
	a, err := eval.Run(ctx, plain(&q))
	if err != nil {
		return nil, fmt.Errorf("internal: the plan, fixed, is refused: %w", err)
	}
	if a.Seconds != base.Seconds {
		return nil, fmt.Errorf("internal: the plan, fixed, takes %g s and not %g s", a.Seconds, base.Seconds)
	}
	return &q, nil
}

// one answers the request with one figure changed. There is no row where that leaves nothing that could run.
func one(ctx context.Context, r *eval.Request, base *eval.Answer, f *Figure, by float64) (*eval.Sensitivity, *eval.Unanswered, error) {
	text, factor, err := f.changed(by)
	if err != nil {
		return nil, &eval.Unanswered{Path: f.Path, Value: f.Value, Reason: err.Error()}, nil
	}
	row := &eval.Sensitivity{Path: f.Path, Kind: f.Kind, Value: f.Value, ChangedTo: text, ChangePercent: percent(1, factor),
		Seconds: base.Seconds, Joules: base.Energy.Joules, AverageWatts: base.Power.AverageWatts}
	if factor == 1 {
		return row, nil, nil
	}
	m := *r.Machine
	if err := m.Apply(map[string]string{f.Path: text}); err != nil {
		return nil, &eval.Unanswered{Path: f.Path, Value: f.Value, ChangedTo: text, Reason: refusal(err)}, nil
	}
	q := plain(r)
	q.Machine, q.ArchHash = &m, f.Path+"="+text // the hash of the answer is not needed
	a, err := eval.Run(ctx, q)
	if infeasible(err) {
		return nil, &eval.Unanswered{Path: f.Path, Value: f.Value, ChangedTo: text, Reason: refusal(err)}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("with %s at %s: %w", f.Path, text, err)
	}
	row.Seconds, row.Joules, row.AverageWatts = a.Seconds, a.Energy.Joules, a.Power.AverageWatts
	row.LatencyPercent, row.EnergyPercent = percent(base.Seconds, a.Seconds), percent(base.Energy.Joules, a.Energy.Joules)
	row.PowerPercent = percent(base.Power.AverageWatts, a.Power.AverageWatts)
	if base.Seconds > 0 && a.Seconds > 0 && a.Seconds != base.Seconds {
		row.Elasticity = math.Log(a.Seconds/base.Seconds) / math.Log(factor)
	}
	return row, nil, nil
}

// infeasible reports whether a point cannot be run for a reason that is a result. A plan that is fixed may not suit the
// changed machine.
func infeasible(err error) bool {
	var (
		invalid *plan.Invalid
		pins    *spec.Error
	)
	return plan.Infeasible(err) != nil || errors.As(err, &invalid) || errors.As(err, &pins) || errors.Is(err, plan.ErrUnsupported)
}

// refusal is why a machine does not take a change.
func refusal(err error) string {
	var e *spec.Error
	if errors.As(err, &e) && len(e.Problems) > 0 {
		return e.Problems[0].Message
	}
	return err.Error()
}

// selects reports whether a pattern is for the figure with a path.
func selects(pattern, path string) bool {
	if pattern == "" || matches(pattern, path) {
		return true
	}
	for i := range path {
		if (path[i] == '.' || path[i] == '[') && matches(pattern, path[:i]) {
			return true
		}
	}
	return false
}

// matches reports whether a text is as a pattern says, in which * stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return true
}

// noSuch says that a pattern selects nothing.
func noSuch(pattern string, all []Figure) error {
	paths := make([]string, len(all))
	for i := range all {
		paths[i] = all[i].Path
	}
	hint := "* stands for any text; a path of a part stands for all below it, such as chip.memory[hbm]"
	if near := spec.Suggest(pattern, paths); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return &plan.Invalid{Field: "only", Message: fmt.Sprintf("%q: no clock, bandwidth, capacity, latency, rate, count or power of the machine has such a path", pattern), Hint: hint}
}
