package eval

import (
	"bytes"
	"encoding/json"
	"github.com/stratasim/strata/arch/plan"

	"github.com/stratasim/strata/sim"
)

// Schema names the form of an Answer.
const Schema = "strata.run/1"

// Answer is what a run came to, in the form that -o json prints and the results database keeps.
type Answer struct {
	Schema   string   `json:"schema"`
	Arch     string   `json:"arch"`
	Model    string   `json:"model"`
	Phase    string   `json:"phase"`
	Fidelity string   `json:"fidelity"`
	Parallel Parallel `json:"parallel"`
	Batch    int64    `json:"batch"`
	Prompt   int64    `json:"prompt"`
	Generate int64    `json:"generate"`
	DType    string   `json:"dtype"`
	// WeightDType and KVDType are those of the weights and of the key/value cache.
	WeightDType string `json:"weight_dtype"`
	KVDType     string `json:"kv_dtype"`
	Runtime     string `json:"runtime"`
	// Ideal lists effects that were left out as asked; HostSync says that the host timed each operator.
	Ideal    []string `json:"ideal,omitempty"`
	HostSync bool     `json:"host_sync,omitempty"`

	Seconds         float64 `json:"seconds"`
	TTFTSeconds     float64 `json:"ttft_seconds"`
	TPOTSeconds     float64 `json:"tpot_seconds"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	MFU             float64 `json:"mfu"`
	HFU             float64 `json:"hfu"`
	BoundBy         string  `json:"bound_by"`

	Stalls    StallSeconds `json:"stalls"`
	Memory    []Tier       `json:"memory"`
	Energy    Energy       `json:"energy"`
	Power     Power        `json:"power"`
	Cost      Cost         `json:"cost"`
	Operators []Operator   `json:"operators"`
	Phases    []PhaseTime  `json:"phases"`
	// Serving is what a server does, with phase serve.
	Serving *Serving `json:"serving,omitempty"`
	// Speculation is what a draft model brings, where there is one.
	Speculation *Speculation `json:"speculation,omitempty"`
	// Waves is there if the cache of all sequences has no room, so that they take turns.
	Waves *Waves `json:"waves,omitempty"`
	// BubbleSeconds, Exposed and Training are of a step of training: the time in which the critical stage waits for others,
	// communication that nothing hides, and the rest.
	BubbleSeconds *float64        `json:"bubble_seconds,omitempty"`
	Exposed       *Exposed        `json:"exposed,omitempty"`
	Training      *TrainingAnswer `json:"training,omitempty"`
	// WholeRun is what training comes to with as many tokens as were asked for; nil for a step alone.
	WholeRun *WholeRun `json:"whole_run,omitempty"`
	// Host is what the host did, where the runtime has one that takes time.
	Host   *Host    `json:"host,omitempty"`
	Advice []Advice `json:"advice"`
	// Ablation and Sensitivities are there if they were asked for; see the package whatif.
	Ablation      []Ablation      `json:"ablation,omitempty"`
	Sensitivities []Sensitivity   `json:"sensitivities,omitempty"`
	Sensitivity   *SensitivityRun `json:"sensitivity,omitempty"`
	// Footprint is what one chip has to hold.
	Footprint Footprint `json:"footprint"`
	// Placement says what lives in which memory off chip. Streaming is there if something streams from a lower one.
	Placement []Placed   `json:"placement,omitempty"`
	Streaming *Streaming `json:"streaming,omitempty"`
	// OnChip is what lies between cores and memories, where the machine describes it.
	OnChip []OnChip `json:"on_chip,omitempty"`
	// Load is how the weights come to the memory that they are in, nil for a machine without memory below it.
	Load *Load `json:"load,omitempty"`
	// Interval is there if it was asked for; see the package uncertainty of the experiments.
	Interval *Interval `json:"interval,omitempty"`
	// Distribution is what many requests came to, of which the other figures are one; nil for a single request.
	Distribution *Distribution `json:"distribution,omitempty"`
	// Composition is what a composition of experts came to, whose requests the other figures are of; nil for others.
	Composition *Composition `json:"composition,omitempty"`
	// OwnCosts says how much had costs that are not the model's; nil where none were given.
	OwnCosts *OwnCosts `json:"costs,omitempty"`
	// FloorSeconds is what no evaluation of the same plan can beat; of a step of training, the least that its parts take as they were
	// timed, without links, launches and waiting.
	FloorSeconds float64  `json:"floor_seconds"`
	Notes        []string `json:"notes,omitempty"`
	NotModelled  []string `json:"not_modelled"`
	Events       int64    `json:"events"`
	Manifest     Manifest `json:"manifest"`
}

// Parallel is the mapping over chips.
type Parallel struct {
	TP int64 `json:"tp"`
	PP int64 `json:"pp"`
	DP int64 `json:"dp"`
	EP int64 `json:"ep"`
	SP bool  `json:"sp"`
	// MoETP is over how many chips each expert is divided and AttnDP how many groups of TP chips have sequences of their
	// own; left out where they follow from the others: AttnDP is 1, and MoETP is TP, or 1 with experts that are shared out.
	MoETP  int64 `json:"moe_tp,omitempty"`
	AttnDP int64 `json:"attn_dp,omitempty"`
	// Exchange is how tokens of several groups come to the experts, left out for plan.Gather.
	Exchange string `json:"exchange,omitempty"`
	// InFlight is how many batches follow one another through the stages of a pipeline, left out for one.
	InFlight int64 `json:"in_flight,omitempty"`
	// CP and Interleave are there in training.
	CP         int64 `json:"cp,omitempty"`
	Interleave int64 `json:"interleave,omitempty"`
}

// ParallelOf is the mapping of an answer.
func ParallelOf(p *plan.Mapping) Parallel {
	d := p.Degrees()
	q := Parallel{TP: d.TP, PP: max(p.PP, 1), DP: 1, EP: d.EP}
	if d.AttnDP > 1 {
		q.AttnDP, q.Exchange = d.AttnDP, p.Exchange
	}
	if d.MoETP != d.TP && d.MoETP > 1 {
		q.MoETP = d.MoETP
	}
	if p.InFlight > 1 {
		q.InFlight = p.InFlight
	}
	return q
}

// Chips is how many chips the mapping takes.
func (p Parallel) Chips() int64 { return p.TP * max(p.AttnDP, 1) * max(p.CP, 1) * p.PP * p.DP }

// StallSeconds is time by cause; it sums to the seconds it divides.
type StallSeconds [sim.NumCauses]float64

// Of returns the seconds of one cause.
func (s StallSeconds) Of(c sim.Cause) float64 { return s[c] }

// MarshalJSON writes an object with one member per cause, in order.
func (s StallSeconds) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, v := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + sim.Cause(i).String() + `":`)
		n, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		b.Write(n)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *StallSeconds) UnmarshalJSON(data []byte) error {
	var m map[string]float64
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	for k, v := range m {
		if c, ok := sim.ParseCause(k); ok {
			s[c] = v
		}
	}
	return nil
}

// Tier is what one memory tier of a chip held and moved.
type Tier struct {
	Tier          string  `json:"tier"`
	Kind          string  `json:"kind"`
	CapacityBytes int64   `json:"capacity_bytes"`
	PeakBytes     int64   `json:"peak_bytes"`
	ReadBytes     int64   `json:"read_bytes"`
	WrittenBytes  int64   `json:"written_bytes"`
	Utilization   float64 `json:"utilization"` // of the peak bandwidth, over the whole run
}

// OnChip is what one network, link between dies or port for writes of a chip moved.
type OnChip struct {
	Resource    string  `json:"resource"` // as in the program: "noc", "noc.write", "die-link", "l2.write"
	PerCore     bool    `json:"per_core,omitempty"`
	Bytes       int64   `json:"bytes"` // that occupied it; where each core has one, that of the busiest core
	Utilization float64 `json:"utilization"`
}

// Energy of the chips of the mapping.
type Energy struct {
	Joules         float64            `json:"joules"`
	JoulesPerToken float64            `json:"joules_per_token"`
	Components     map[string]float64 `json:"components"`
}

// Power of the chips of the mapping.
type Power struct {
	AverageWatts float64 `json:"average_watts"`
	PeakWatts    float64 `json:"peak_watts"`
	PeakOperator string  `json:"peak_operator,omitempty"`
	LimitWatts   float64 `json:"limit_watts"`
	// SensorPeakWatts is the most that the machine's sensor would read; 0 if the machine has none.
	SensorPeakWatts float64 `json:"sensor_peak_watts,omitempty"`
	// Trace is the power over time, where asked for.
	Trace *PowerLevels `json:"trace,omitempty"`
}

// Cost of renting the chips of the mapping.
type Cost struct {
	USDPerHour          float64 `json:"usd_per_hour"`
	USDPerMillionTokens float64 `json:"usd_per_million_tokens"`
}

// Operator is what one operator came to over the whole run, on one chip.
type Operator struct {
	Name    string       `json:"name"`
	Kind    string       `json:"kind"`
	Phase   string       `json:"phase"`
	Calls   int64        `json:"calls"`
	Seconds float64      `json:"seconds"`
	Share   float64      `json:"share"`
	BoundBy string       `json:"bound_by"`
	Stalls  StallSeconds `json:"stalls"`
	Ops     int64        `json:"ops"`       // matrix, vector and special operations
	Bytes   int64        `json:"hbm_bytes"` // off-chip bytes read and written
	Joules  float64      `json:"joules"`
	// Source says where the time is from if not from the model.
	Source string `json:"source,omitempty"`
}

// PhaseTime is the time of one phase.
type PhaseTime struct {
	Phase   string  `json:"phase"`
	Steps   int64   `json:"steps"`
	Seconds float64 `json:"seconds"`
	// ClockHertz is the mean clock of the cores over its time, where the power limit lowers it.
	ClockHertz float64 `json:"clock_hertz,omitempty"`
	// AverageWatts is what the chips of the mapping draw on the mean over its time.
	AverageWatts float64 `json:"average_watts"`
}

// Host is what the framework on the host came to. Operators are launched ahead of the device; the rest is
// serial, and the device waits for it.
type Host struct {
	Operators       int64   `json:"operators"`        // launched by the host one by one
	OperatorSeconds float64 `json:"operator_seconds"` // the host's time for them
	Steps           int64   `json:"steps"`
	StepSeconds     float64 `json:"step_seconds"`    // serial: scheduling, sequences
	RequestSeconds  float64 `json:"request_seconds"` // serial: once, before the first step
	// WaitSeconds is how long kernels waited to be launched, so the device was idle for that long and for
	// the serial parts. Share is the part of the run in which the host was busy.
	WaitSeconds float64 `json:"wait_seconds"`
	Share       float64 `json:"share"`
}

// Advice says what a change would bring.
type Advice struct {
	Change         string  `json:"change"`  // "+10 % hbm bandwidth"
	Seconds        float64 `json:"seconds"` // with the change
	LatencyPercent float64 `json:"latency_percent"`
	Text           string  `json:"text"`
}

// Footprint is what one chip has to hold.
type Footprint struct {
	WeightBytes     int64 `json:"weight_bytes"`
	KVBytes         int64 `json:"kv_bytes"`
	ActivationBytes int64 `json:"activation_bytes"`
}

// Waves is how sequences take turns.
type Waves struct {
	AtATime int64  `json:"sequences_at_a_time"`
	Waves   []Wave `json:"waves"`
}

// Wave is sequences that are in work together. Times count from the start of the run.
type Wave struct {
	Sequences    int64   `json:"sequences"`
	StartSeconds float64 `json:"start_seconds"`
	TTFTSeconds  float64 `json:"ttft_seconds"` // when its first tokens are there
	EndSeconds   float64 `json:"end_seconds"`
}

// Placed is what a chip holds of a class in a memory off chip.
type Placed struct {
	Tier  string `json:"tier"`
	Class string `json:"class"` // weights, experts, kv cache, activations, staging buffers
	Bytes int64  `json:"bytes"`
}

// Streaming is what moves between the first memory off chip and those below it, on one chip.
type Streaming struct {
	Prefetch     int64 `json:"prefetch"` // how many layers ahead of its use a layer is fetched
	FetchedBytes int64 `json:"fetched_bytes"`
	StoredBytes  int64 `json:"stored_bytes"`
	// MoveSeconds is how long copies took, ExposedSeconds how long the chip waited for them: the stalls of ddr.
	MoveSeconds    float64 `json:"move_seconds"`
	ExposedSeconds float64 `json:"exposed_seconds"`
}

// Load is what it takes to bring the weights from the memory below, once and before the run: not a part of
// its time or energy.
type Load struct {
	From    string  `json:"from"`  // tier below
	Bytes   int64   `json:"bytes"` // into each chip
	Seconds float64 `json:"seconds"`
	Joules  float64 `json:"joules"`   // of all chips
	BoundBy string  `json:"bound_by"` // a tier, or "link" for the link to the host
}

// Manifest identifies what was run.
type Manifest struct {
	Version   string `json:"version"`    // of the models: changes when any figure changes
	ArchHash  string `json:"arch_hash"`  // content of the machine
	GraphHash string `json:"graph_hash"` // content of the operator graph
	// MappingHash is the content of the mapping file, where one was given.
	MappingHash string `json:"mapping_hash,omitempty"`
	// Fusion is what took the place of the runtime's fusions, "" where nothing did.
	Fusion string `json:"fusion,omitempty"`
	Key    string `json:"key"` // of the whole request
	Seed   int64  `json:"seed"`
}
