package eval

import (
	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/sim/units"
)

// Composition is what a composition of experts came to. The other figures of its answer are those of all its requests after the
// warm-up together: their time, stalls, traffic, energy and operators.
type Composition struct {
	Composition string `json:"composition"` // name of its file
	Experts     int64  `json:"experts"`
	ExpertBytes int64  `json:"expert_bytes"` // weights of the largest, over all chips of the mapping
	Router      string `json:"router"`       // its model, or "stated" for a time; "none"
	Requests    int64  `json:"requests"`
	Warmup      int64  `json:"warmup"` // requests before those, which do not count
	Batches     int64  `json:"batches"`
	Seed        int64  `json:"seed"`
	Popularity  string `json:"popularity"`

	Policy   string `json:"policy"`
	Resident int64  `json:"resident"` // experts that fast memory has room for
	Runs     int64  `json:"runs"`     // of experts: one for each expert that a batch needs
	Hits     int64  `json:"hits"`
	Misses   int64  `json:"misses"`
	// ColdMisses are those of experts that were never in fast memory before.
	ColdMisses int64   `json:"cold_misses"`
	HitRate    float64 `json:"hit_rate"`

	From string `json:"from"` // memory that experts live in
	// CopyBytesPerSecond is the rate of a copy over all chips of the mapping, and CopySeconds the time of a copy of the largest expert
	// alone. BoundBy is what sets the rate: a tier, "link" for the link to the host, or "stated".
	CopyBytesPerSecond float64 `json:"copy_bytes_per_second"`
	CopySeconds        float64 `json:"copy_seconds"`
	CopyBoundBy        string  `json:"copy_bound_by"`
	CopiedBytes        int64   `json:"copied_bytes"` // into all chips
	Prefetch           bool    `json:"prefetch"`
	// HiddenSeconds is the time of copies beside runs, SlowedSeconds what runs took longer for that.
	HiddenSeconds float64 `json:"hidden_seconds"`
	SlowedSeconds float64 `json:"slowed_seconds"`

	// Parts of the latency of a request: the router of its batch, the runs of its batch before its own with their copies, the rest of the copy
	// of its expert, and its run.
	RouterTime  Spread `json:"router_seconds"`
	WaitTime    Spread `json:"wait_seconds"`
	SwitchTime  Spread `json:"switch_seconds"`
	PrefillTime Spread `json:"prefill_seconds"`
	DecodeTime  Spread `json:"decode_seconds"`
	TTFT        Spread `json:"ttft_seconds"`
	Latency     Spread `json:"latency_seconds"`
	BatchTime   Spread `json:"batch_seconds"` // of a batch, over batches

	RequestsPerSecond float64 `json:"requests_per_second"`
	JoulesPerRequest  float64 `json:"joules_per_request"`
	// Machines are how many nodes hold all experts, and in fast memory alone; each holds so many whole experts.
	Machines             int64 `json:"machines"`
	MachinesInFast       int64 `json:"machines_in_fast"`
	ExpertsPerMachine    int64 `json:"experts_per_machine"`
	ExpertsInFastMachine int64 `json:"experts_in_fast_per_machine"`
}

// Waiting is what the chips of the mapping use by component while they run nothing for a time, in joules.
func (res *Result) Waiting(t units.Time) map[string]float64 {
	meter := res.timed.control.meter
	joules := map[string]float64{}
	for i, j := range meter.At(nil, t, 0, account.Full) {
		joules[meter.Names()[i]] = float64(j) * float64(res.Program.Chips())
	}
	return joules
}
