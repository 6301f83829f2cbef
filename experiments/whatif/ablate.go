package whatif

import (
	"context"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
)

// Effects of an ablation table that are no ideals of their own.
const (
	Nothing = "nothing" // is left out: the run itself
	All     = "all"     // that can be left out is
)

// Ablate answers the request once more without each of the effects that can be left out, and without all of them. Rows
// are in the fidelity of the request, and for events in closed form too, which shows what of an effect is contention.
func Ablate(ctx context.Context, r *eval.Request, progress Progress) ([]eval.Ablation, error) {
	fidelities := []string{eval.Event, eval.Analytic}
	if r.Fidelity == eval.Analytic {
		fidelities = fidelities[1:]
	}
	effects := append([]string{Nothing}, eval.Ideals()...)
	effects = append(effects, All)
	rows := make([]eval.Ablation, len(fidelities)*len(effects))
	err := Each(ctx, len(rows), progress, func(i int) error {
		row := &rows[i]
		row.Effect, row.Fidelity = effects[i%len(effects)], fidelities[i/len(effects)]
		q := plain(r)
		q.Fidelity = row.Fidelity
		q.Exact = q.Exact && row.Fidelity == eval.Event
		switch row.Effect {
		case Nothing:
		case All:
			q.Ideal = with(q.Ideal, eval.Ideals()...)
		default:
			q.Ideal = with(q.Ideal, row.Effect)
		}
		a, err := eval.Run(ctx, q)
		if err != nil {
			return err
		}
		row.Seconds, row.Joules = a.Seconds, a.Energy.Joules
		row.Left = []string{}
		for _, effect := range q.Ideal {
			if why := nothingLeft(a.Notes, effect); why == "" {
				row.Left = append(row.Left, effect)
			} else if effect == row.Effect {
				row.Note = why
			}
		}
		if slices.Contains(r.Ideal, row.Effect) {
			row.Note = "is left out of the run already"
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		row, base := &rows[i], &rows[i-i%len(effects)]
		row.DeltaSeconds = float64(picoseconds(row.Seconds)-picoseconds(base.Seconds)) / 1e12
		row.LatencyPercent = percent(base.Seconds, row.Seconds)
		row.EnergyPercent = percent(base.Joules, row.Joules)
	}
	return rows, nil
}

// with returns the effects and others in one order, each once.
func with(ideal []string, more ...string) []string {
	all := slices.Concat(ideal, more)
	slices.Sort(all)
	return slices.Compact(all)
}

// nothingLeft returns why an effect could not be left out, as a note of the answer says it, or "".
func nothingLeft(notes []string, effect string) string {
	prefix := "ideal " + effect + " leaves nothing out: "
	for _, n := range notes {
		if why, ok := strings.CutPrefix(n, prefix); ok {
			return why
		}
	}
	return ""
}
