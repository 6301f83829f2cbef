package report

import "fmt"

// costs says which times are not the model's.
func (r *runReport) costs() {
	c := r.a.OwnCosts
	if c == nil {
		return
	}
	r.head("Costs of your own")
	line := func(what string, operators, calls int64, seconds float64) {
		share := 0.0
		if r.a.Seconds > 0 {
			share = seconds / r.a.Seconds
		}
		r.printf("  %s  %d distinct operators, %s calls, %s, %s\n", what, operators, Count(calls), Seconds(seconds), Percent(share))
	}
	width := max(len([]rune(c.Source)), len("the model"))
	line(pad(c.Source, width), c.Operators, c.Calls, c.Seconds)
	line(pad("the model", width), c.ModelOperators, c.ModelCalls, c.ModelSeconds)
	if c.Joules > 0 {
		r.printf("  energy from there: %s of one chip\n", Energy(c.Joules))
	}
	for i := range r.a.Operators {
		if op := &r.a.Operators[i]; op.Source != "" {
			r.b.WriteString(wrap("  ", fmt.Sprintf("%s (%s): %s", op.Name, op.Phase, op.Source)))
		}
	}
}
