package eval

import "slices"

// Ablation is the time of a run without an effect.
type Ablation struct {
	// Effect that is left out, by the name of an ideal; "nothing" is the run itself, "all" is without all that can be
	// left out.
	Effect   string `json:"effect"`
	Fidelity string `json:"fidelity"`
	// Left lists the effects that are left out in this row.
	Left           []string `json:"left_out"`
	Seconds        float64  `json:"seconds"`
	DeltaSeconds   float64  `json:"delta_seconds"` // against "nothing" of the same fidelity
	LatencyPercent float64  `json:"latency_percent"`
	Joules         float64  `json:"joules"`
	EnergyPercent  float64  `json:"energy_percent"`
	// Note says why an effect cannot be left out; the figures are then those of the run.
	Note string `json:"note,omitempty"`
}

// Sensitivity is what a change of one figure of the machine does.
type Sensitivity struct {
	Path string `json:"path"`
	// Kind is what the unit tells: clock, bandwidth, capacity, size, latency, rate, count or power.
	Kind      string `json:"kind"`
	Value     string `json:"value"`
	ChangedTo string `json:"changed_to"`
	// ChangePercent is the change that was made: whole numbers cannot be changed by less than one.
	ChangePercent  float64 `json:"change_percent"`
	Seconds        float64 `json:"seconds"`
	LatencyPercent float64 `json:"latency_percent"`
	// Elasticity is d ln(latency) / d ln(figure) as a difference over this change: −1 if all time goes with 1/figure.
	Elasticity    float64 `json:"elasticity"`
	Joules        float64 `json:"joules"`
	EnergyPercent float64 `json:"energy_percent"`
	AverageWatts  float64 `json:"average_watts"`
	PowerPercent  float64 `json:"power_percent"`
}

// Unanswered is a figure that could not be changed, or whose change leaves nothing that could run.
type Unanswered struct {
	Path      string `json:"path"`
	Value     string `json:"value"`
	ChangedTo string `json:"changed_to,omitempty"`
	Reason    string `json:"reason"`
}

// SensitivityRun says how sensitivities were found, and lists the figures that are not among them.
type SensitivityRun struct {
	ByPercent float64 `json:"by_percent"`
	// Plan is "chosen anew" for the changed machine, or "fixed".
	Plan string `json:"plan"`
	// NoEffect lists figures whose change alters neither time nor energy.
	NoEffect []string `json:"no_effect"`
	// NotUsed lists figures of runtime profiles that this run does not use; they were not tried.
	NotUsed    []string     `json:"not_used"`
	Unanswered []Unanswered `json:"unanswered"`
}

// Ideals lists the effects that a request can ask to leave out.
func Ideals() []string { return slices.Clone(ideals) }
