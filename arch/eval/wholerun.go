package eval

import (
	"math"
)

// WholeRun is what a model's training comes to, of steps that are all alike: without restarts, checkpoints, and changes of
// the batch.
type WholeRun struct {
	Tokens  int64   `json:"tokens"`
	Steps   int64   `json:"steps"`
	Seconds float64 `json:"seconds"`
	// ChipHours are hours of all chips together.
	ChipHours float64 `json:"chip_hours"`
	// Joules are of the chips and their networks, times PUE, the power usage effectiveness of the data centre.
	Joules float64 `json:"joules"`
	PUE    float64 `json:"pue"`
	// USD is the rent of the chips; 0 where the machine has no price.
	USD float64 `json:"usd"`
}

// whole is the run of as many tokens as the request says, nil where it says none.
func (k *trainer) whole() *WholeRun {
	t, a := k.t, &k.res.Answer
	if t.Tokens == 0 {
		return nil
	}
	w := &WholeRun{Tokens: t.Tokens, PUE: t.PUE}
	if w.PUE == 0 {
		w.PUE = 1
	}
	step := float64(t.GlobalBatch) * float64(t.SeqLen)
	w.Steps = int64(math.Ceil(float64(t.Tokens) / step))
	w.Seconds = float64(w.Steps) * a.Seconds
	w.ChipHours = w.Seconds / 3600 * float64(t.Degrees.Chips())
	w.Joules = float64(w.Steps) * a.Energy.Joules * w.PUE
	w.USD = w.Seconds / 3600 * a.Cost.USDPerHour
	return w
}
