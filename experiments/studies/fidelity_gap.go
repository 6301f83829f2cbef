package studies

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/fidelity"
	"github.com/stratasim/strata/sim/spec"
)

func init() {
	register(&Study{
		Name:  "fidelity-gap",
		Title: "how far the closed form is from events: random transformers on four machines, and cases of contention",
		About: []string{
			"Transformers drawn at random (4 to 64 layers, 8 to 64 heads of 64 to 128 elements, networks 2 to 4 times as wide, mixtures of experts, sliding windows, latent attention) with " +
				"random batch, prompt, phase, format and number of chips, each planned once and timed in both fidelities. The gap is closed form over events less one.",
			"The cases of contention are requests in which copies, collectives, refresh or the power limit meet something. Where the closed form cannot know, the gap has to be at least a tenth: agreement " +
				"that came from events without contention would show here. Where both know, it has to be below a hundredth.",
			"Each case is also played without what meets. What that costs has to be a tenth, so that no two agree for want of it; where what could meet does not, and the closed form alone charges it, it has to be below a hundredth.",
		},
		Params: []Param{
			{"machines", strings.Join(fidelity.Machines(), ","), "presets, by commas", checkMachines},
			{"count", "50", "points of each machine", numberUpTo(1, 10000)},
			{"seed", "1", "of the draws", numberUpTo(0, math.MaxInt64)},
		},
		RunWith: fidelityGap,
	})
}

// Targets of the study, and where they are written down.
const (
	gapTarget = 5    // percent, of the mean gap of a machine
	tauTarget = 0.95 // Kendall's tau-b of a machine
	gapSource = "target of the project, docs/fidelities.md"
	farthest  = 10 // pairs that are listed
	percent   = "%"
)

func checkMachines(list string) string {
	for _, name := range strings.Split(list, ",") {
		if !slices.Contains(presets.Names(), name) {
			message := fmt.Sprintf("is not presets by commas: %.60q is none", name)
			if near := spec.Suggest(name, presets.Names()); near != "" {
				message += fmt.Sprintf("; did you mean %q?", near)
			}
			return message
		}
	}
	return ""
}

// numberUpTo checks whole numbers.
func numberUpTo(low, high int64) func(string) string {
	return func(value string) string {
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < low || n > high {
			return fmt.Sprintf("%.60q: must be a whole number from %d to %d", value, low, high)
		}
		return ""
	}
}

// fidelityGap is the study. The values were checked.
func fidelityGap(ctx context.Context, values map[string]string) ([]Row, error) {
	count, err := strconv.Atoi(values["count"])
	if err != nil {
		return nil, err
	}
	seed, err := strconv.ParseUint(values["seed"], 10, 64)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, machine := range strings.Split(values["machines"], ",") {
		s, err := fidelity.Run(ctx, machine, seed, count)
		if err != nil {
			return nil, err
		}
		rows = append(rows, gapRows(s)...)
	}
	shown, err := fidelity.Contention(ctx)
	if err != nil {
		return nil, err
	}
	for i := range shown {
		c := &shown[i]
		row := Row{Part: "Contention: " + c.Class, Name: c.Name, Unit: percent, Ours: 100 * math.Abs(c.Gap()), Basis: Predicted, Source: gapSource, Exact: true,
			Note: fmt.Sprintf("closed form %.4g s, events %.4g s, %s. %s", c.Analytic, c.Event, c.Stall, c.Why)}
		cost := Row{Part: row.Part, Name: c.Name + ": what it costs", Unit: percent, Ours: 100 * c.Cost(), Published: 100 * fidelity.LeastCost, Bound: MoreThan, Basis: Predicted, Source: gapSource, Exact: true,
			Note: fmt.Sprintf("%s: events with %s take %.4g s", c.Name, c.Without, c.Free)}
		if c.Spared {
			cost.Published, cost.Bound = 100*fidelity.MostSpared, LessThan
		}
		if row.Published, row.Bound = 100*c.Least, MoreThan; !c.Shows() {
			row.Published, row.Bound = 100*c.Most, LessThan
		}
		rows = append(rows, row, cost)
	}
	return rows, nil
}

// gapRows are those of a machine.
func gapRows(s *fidelity.Sample) []Row {
	all := fidelity.Summarize(s.Pairs)
	part := fmt.Sprintf("%s, %d transformers", s.Machine, all.N)
	rows := []Row{
		{Part: part, Name: "mean gap", Unit: percent, Ours: 100 * all.Mean, Basis: Predicted, Published: gapTarget, Bound: LessThan, Exact: true, Source: gapSource},
		{Part: part, Name: "Kendall's tau of the two rankings", Ours: all.Tau, Basis: Predicted, Published: tauTarget, Bound: MoreThan, Exact: true, Source: gapSource},
		{Part: part, Name: "median gap", Unit: percent, Ours: 100 * all.Median, Basis: Predicted},
		{Part: part, Name: "95th percentile", Unit: percent, Ours: 100 * all.P95, Basis: Predicted},
		{Part: part, Name: "largest gap", Unit: percent, Ours: 100 * all.Worst, Basis: Predicted},
		{Part: part, Name: "mean with the sign", Unit: percent, Ours: 100 * all.Bias, Basis: Predicted},
		{Part: part, Name: "same bottleneck", Unit: percent, Ours: 100 * all.SameBound, Basis: Predicted},
		{Part: part, Name: "drawn beside these that do not fit or divide", Ours: float64(s.Refused), Basis: Predicted},
	}
	for _, what := range slices.Concat(fidelity.Phases(), fidelity.Kinds()) {
		if one := fidelity.Summarize(fidelity.Of(s.Pairs, what)); one.N > 0 {
			rows = append(rows, Row{Part: part, Name: fmt.Sprintf("mean gap of %d %s", one.N, what), Unit: percent, Ours: 100 * one.Mean, Basis: Predicted})
		}
	}
	for _, p := range fidelity.Farthest(s.Pairs, farthest) {
		rows = append(rows, Row{Part: s.Machine + ", farthest apart", Name: p.String(), Unit: percent, Ours: 100 * p.Gap(), Basis: Predicted, Note: "events charge " + p.Where()})
	}
	return rows
}
