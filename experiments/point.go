package experiments

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/coe"
	"github.com/stratasim/strata/experiments/workload"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Point is one request: a machine, a model or a trace, and how to run it.
type Point struct {
	Machine  *arch.Machine
	Model    *llm.Model         // nil when a trace is replayed
	Trace    *traces.Graph      // nil when a model is run
	Draft    *llm.Model         // drafts tokens for Model to verify; nil without speculation
	Workload *workload.Workload // of many requests, whose lengths take the place of Prompt and Generate; nil for one
	// Composition of experts, whose models take the place of Model: the first of them is that. Nil for none.
	Composition *coe.Composition
	Costs       *Costs // of operators, in place of the model's; nil for none
	// Base is Machine without the changes of Set, to be stored once for all points that share it; nil to store Machine itself.
	Base *Base
	Options
}

// Base is a machine that points of one sweep change.
type Base struct{ in Input }

// NewBase prepares a machine for being stored.
func NewBase(m *arch.Machine) (*Base, error) {
	text, err := spec.Marshal(m)
	if err != nil {
		return nil, err
	}
	return &Base{newInput("machine", text)}, nil
}

// Options are the parts of a point that are small enough to be written down in one line.
type Options struct {
	Phase    string `json:"phase,omitempty"`
	Batch    int64  `json:"batch,omitempty"`
	Prompt   int64  `json:"prompt,omitempty"`
	Generate int64  `json:"generate,omitempty"`
	Layers   int64  `json:"layers,omitempty"`
	Arrivals string `json:"arrivals,omitempty"`
	// Skew is the exponent of the power law by which the experts of a mixture are chosen; 0: all as likely.
	Skew        float64 `json:"skew,omitempty"`
	DType       string  `json:"dtype,omitempty"`
	WeightDType string  `json:"weight_dtype,omitempty"`
	KVDType     string  `json:"kv_dtype,omitempty"`
	TP          int64   `json:"tp,omitempty"`
	PP          int64   `json:"pp,omitempty"`
	// EP, MoETP, AttnDP and Exchange are those of plan.Mapping.
	EP       int64  `json:"ep,omitempty"`
	MoETP    int64  `json:"moe_tp,omitempty"`
	AttnDP   int64  `json:"attn_dp,omitempty"`
	Exchange string `json:"exchange,omitempty"`
	// InFlight is how many batches share the sequences and follow one another through a pipeline; 0 means 1.
	InFlight int64    `json:"in_flight,omitempty"`
	Runtime  string   `json:"runtime,omitempty"`
	HostSync bool     `json:"host_sync,omitempty"`
	Fidelity string   `json:"fidelity,omitempty"`
	Exact    bool     `json:"exact,omitempty"`
	Ideal    []string `json:"ideal,omitempty"`
	// Fusion takes the place of the runtime's fusions, as arch.ParseFusions writes it; "" leaves them.
	Fusion string `json:"fusion,omitempty"`
	// Mapping holds choices of the planner that are made for it, the content of a mapping file.
	Mapping *plan.Pins `json:"mapping,omitempty"`
	// Offload, Placement, Prefetch and Lookahead are those of plan.Mapping.
	Offload   string   `json:"offload,omitempty"`
	Placement string   `json:"placement,omitempty"`
	Prefetch  *int64   `json:"prefetch,omitempty"`
	Lookahead *float64 `json:"lookahead,omitempty"`
	// PowerLimit is the limit of each chip in watts; 0 is the machine's.
	PowerLimit float64 `json:"power_limit,omitempty"`
	// Set lists the changes to the machine, "path=value" each. The machine of the point has them already: they
	// are kept so that an answer can say what it assumes.
	Set []string `json:"set,omitempty"`
	// Cost says how Costs were given; nil without them.
	Cost *CostOptions `json:"cost,omitempty"`
	// LoRA is adapters beside the weights, normalized.
	LoRA *llm.LoRA `json:"lora,omitempty"`
	// DraftTokens and Acceptance go with a draft model: see traces.Speculation.
	DraftTokens int64  `json:"draft_tokens,omitempty"`
	Acceptance  string `json:"acceptance,omitempty"`
	// Training goes with phases train and finetune; nil for the usual values.
	Training *TrainOptions `json:"training,omitempty"`
}

// MaxGenerate bounds the tokens that one request may generate: each is a step of the plan, some 30 kB of memory.
const MaxGenerate = 1 << 15

// ServeStepTokens is how many tokens of prompts a server prefills in one pass unless its runtime profile says so: the
// default of vLLM (max_num_batched_tokens of its API server on GPUs of 80 GB) and of TensorRT-LLM (max_num_tokens).
const ServeStepTokens = 8192

// MaxGenerateHint says what to ask for instead of longer answers.
const MaxGenerateHint = "for longer answers ask for --phase decode at the cache lengths of interest"

// Invalid says that a field of a point is wrong. Field is the name of the command-line flag and of
// the JSON member, with "-" for "_".
type Invalid = plan.Invalid

// Defaults fills in what was left out.
func (o *Options) Defaults() {
	if o.Phase == "" {
		o.Phase = "generate"
	}
	if o.Batch == 0 {
		o.Batch = 1
	}
	if o.Prompt == 0 {
		o.Prompt = 512
	}
	if o.Generate == 0 && (o.Phase == "generate" || o.Phase == "serve") {
		o.Generate = 128
	}
	if o.TP == 0 {
		o.TP = 1
	}
	if o.Fidelity == "" {
		o.Fidelity = eval.Event
	}
}

// Defaults fills in what was left out. What a trace says itself is left alone.
func (p *Point) Defaults() {
	if p.Trace == nil {
		p.Options.Defaults()
		return
	}
	p.TP = max(p.TP, 1)
	if p.Fidelity == "" {
		p.Fidelity = eval.Event
	}
}

// Graph generates the operator graph of the point, or returns its trace. It reports everything that is wrong with the
// options at once.
func (p *Point) Graph() (*traces.Graph, error) {
	if p.Trace != nil {
		return p.Trace, nil
	}
	g, _, err := p.graph()
	return g, err
}

// graph is Graph, with the workload that it is of.
func (p *Point) graph() (*traces.Graph, llm.Workload, error) {
	if p.Trains() {
		r, err := p.trainingRequest()
		return r.Graph, llm.Workload{}, err
	}
	var problems Problems
	w := llm.Workload{Phase: p.Phase, Batch: p.Batch, Prompt: p.Prompt, Generate: p.Generate, Layers: p.Layers}
	if w.Phase == "generate" && (w.Generate < 1 || w.Generate > MaxGenerate) {
		problems.Add(&Invalid{Field: "generate", Message: fmt.Sprintf("%d: must be from 1 to %d", w.Generate, MaxGenerate), Hint: MaxGenerateHint})
		w.Generate = 1 // to find what else is wrong
	}
	w.DType, w.WeightDType, w.KVDType = p.formats(p.Model, &problems)
	var wrong string
	if w.SkewMilli, wrong = Skew(p.Skew); wrong != "" {
		problems.Add(&Invalid{Field: "skew", Message: wrong})
	}
	if p.Draft != nil {
		s := &llm.Speculation{Draft: p.Draft, Tokens: p.DraftTokens, Acceptance: p.Acceptance}
		s.DType, s.WeightDType, s.KVDType = p.formats(p.Draft, new(Problems)) // what is wrong was said of the model
		w.Speculation = s
	} else if p.DraftTokens > 0 || p.Acceptance != "" {
		problems.Add(&Invalid{Field: "draft", Message: "which model drafts?", Hint: "a preset (see: strata model list) or a config.json; --draft-tokens and --acceptance go with it"})
	}
	if l := p.LoRA; l != nil {
		w.LoRA = l
		if l.BaseDType != "" && p.WeightDType != "" {
			problems.Add(&Invalid{Field: "weight-dtype", Message: "the adapters name a base_dtype too", Hint: "leave one of them out"})
		} else if l.BaseDType != "" {
			w.WeightDType = dtype("lora", l.BaseDType, w.WeightDType, &problems)
		}
	}
	var err error
	if w.Batch, err = Shared(p.Batch, p.InFlight); err != nil {
		problems.Add(err)
	}
	if w.Groups = p.AttnDP; p.Model.MoE != nil {
		w.Groups = (&plan.Mapping{TP: p.TP, EP: p.EP, MoETP: p.MoETP, AttnDP: p.AttnDP}).Degrees().AttnDP
	}
	if p.Machine != nil { // a graph that is only written down has none
		if w.StepTokens = p.Machine.StepTokens(p.Runtime, p.HostSync); w.Phase == "serve" {
			if w.Arrivals = p.Arrivals; w.StepTokens == 0 {
				w.StepTokens = ServeStepTokens
			}
		}
	}
	g, err := p.Model.Graph(w)
	addWorkload(&problems, err)
	return g, w, problems.Err()
}

// Shared returns how many sequences each of several batches in flight has, or an *Invalid.
func Shared(sequences, batches int64) (int64, error) {
	switch {
	case batches <= 1:
		return sequences, nil
	case sequences%batches != 0:
		return 1, &Invalid{Field: "in-flight", Message: fmt.Sprintf("%d batches do not share %d sequences evenly", batches, sequences), Hint: fmt.Sprintf("a multiple of %d sequences", batches)}
	}
	return sequences / batches, nil
}

// Formats are the number formats of activations and of weights of the point's model, as far as they can be told.
func (p *Point) Formats() (activations, weights traces.DType) {
	activations, weights, _ = p.formats(p.Model, new(Problems))
	return activations, weights
}

// formats returns the number formats that a model runs with on the machine: those asked for, or its own.
func (p *Point) formats(m *llm.Model, problems *Problems) (d, weight, kv traces.DType) {
	usual := m.Activations(nil)
	if p.Machine != nil {
		usual = m.Activations(p.Machine.Chip.Cores.Matrix.Multiplies)
	}
	d = dtype("dtype", p.DType, usual, problems)
	weight = dtype("weight-dtype", p.WeightDType, m.Weights(d), problems)
	return d, weight, dtype("kv-dtype", p.KVDType, m.Cache(d), problems)
}

// Skew returns the exponent of the power law by which experts are chosen in thousandths, 0 for experts that are all
// as likely, and what is wrong with it, or "".
func Skew(a float64) (milli int64, wrong string) {
	m := math.Round(a * 1000)
	if m != 0 && !(m >= traces.MinSkew && m <= traces.MaxSkew) {
		return 0, fmt.Sprintf("%g: must be from %g to %g, or 0 for experts that are all as likely", a, traces.MinSkew/1000.0, traces.MaxSkew/1000.0)
	}
	return int64(m), ""
}

// dtype reads an optional data type.
func dtype(field, text string, otherwise traces.DType, problems *Problems) traces.DType {
	if text == "" {
		return otherwise
	}
	d, err := traces.ParseDType(text)
	if err != nil {
		problems.Add(&Invalid{Field: field, Message: err.Error()})
		return otherwise
	}
	return d
}

// addWorkload notes what a model's generator does not like about a workload, each field under the name of its flag.
func addWorkload(problems *Problems, err error) {
	var invalid *llm.Invalid
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			addWorkload(problems, one)
		}
	default:
		if errors.As(err, &invalid) {
			err = &Invalid{Field: strings.ReplaceAll(invalid.Field, "_", "-"), Message: invalid.Message, Hint: invalid.Hint}
		}
		problems.Add(err)
	}
}

// Request turns the point into a request to the simulator, with a workload into that for its longest request: see Distribute,
// with a composition into that of its largest run: see Compose.
func (p *Point) Request() (eval.Request, error) {
	if p.Composition != nil {
		return p.composedRequest()
	}
	if p.Workload != nil {
		longest, err := p.longest()
		if err != nil {
			return eval.Request{}, err
		}
		return p.workloadRequest(longest)
	}
	if p.Trains() && p.Trace == nil {
		return p.trainingRequest()
	}
	var problems Problems
	g, w := p.Trace, llm.Workload{}
	var err error
	if p.Trace == nil {
		g, w, err = p.graph()
		problems.Add(err)
	}
	if _, err := p.Machine.Profile(p.Runtime); err != nil {
		problems.Add(&Invalid{Field: "runtime", Message: err.Error()})
	}
	if err := problems.Err(); err != nil {
		return eval.Request{}, err
	}
	// In one order, because the key of the answer does not depend on it.
	r := eval.Request{Machine: p.Machine, Graph: g, Fidelity: p.Fidelity, Exact: p.Exact, Ideal: slices.Sorted(slices.Values(p.Ideal)), Notes: ChangeNotes(p.Set), PowerLimit: units.Watts(p.PowerLimit),
		Mapping: plan.Mapping{TP: p.TP, PP: p.PP, EP: p.EP, MoETP: p.MoETP, AttnDP: p.AttnDP, Exchange: p.Exchange, InFlight: p.InFlight, Profile: p.Runtime, HostSync: p.HostSync, Pins: p.Mapping,
			Fusion: p.Fusion, Offload: p.Offload, Placement: p.Placement, Prefetch: p.Prefetch, Lookahead: p.Lookahead}}
	if p.Trace == nil {
		if r.Graph, err = InWaves(p.Machine, p.Model, w, g, r.Mapping); err != nil {
			return eval.Request{}, err
		}
	}
	p.addCosts(&r)
	if p.Draft != nil {
		plain := *p
		plain.Draft, plain.DraftTokens, plain.Acceptance = nil, 0, ""
		if r.Plain, err = plain.Graph(); err != nil {
			return eval.Request{}, err
		}
	}
	return r, nil
}

// ChangeNotes are what an answer says about changes to its machine.
func ChangeNotes(set []string) []string {
	if len(set) == 0 {
		return nil
	}
	return []string{"changed: " + strings.Join(set, ", ")}
}

// MachineOf finds a machine: a preset by name, else a file. Every "path=value" of set changes a leaf.
func MachineOf(name string, set []string) (*arch.Machine, error) {
	m, _, err := ChangedMachine(name, set)
	return m, err
}

// ChangedMachine is MachineOf, and returns what the changes of set come to for Options.Set: a "path=value" for each leaf
// that is another one now, in the order and the writing of the description. So two ways to write one change are one
// point.
func ChangedMachine(name string, set []string) (m *arch.Machine, changes []string, err error) {
	if m, err = findMachine(name); err != nil {
		return nil, nil, err
	}
	before := map[string]string{}
	spec.Walk(m, func(path, text string) { before[path] = text })
	if err := apply(m, set); err != nil {
		return m, nil, err
	}
	if len(set) > 0 {
		spec.Walk(m, func(path, text string) {
			if before[path] != text {
				changes = append(changes, path+"="+text)
			}
		})
	}
	return m, changes, nil
}

// apply makes the changes of set to a machine.
func apply(m *arch.Machine, set []string) error {
	var problems Problems
	changes := map[string]string{}
	for _, s := range set {
		path, value, ok := strings.Cut(s, "=")
		if !ok {
			problems.Add(&Invalid{Field: "set", Message: fmt.Sprintf("%q is not path=value", s), Hint: `e.g. --set "chip.memory[hbm].bandwidth=3 TB/s"`})
			continue
		}
		path = strings.TrimSpace(path)
		if _, twice := changes[path]; twice {
			problems.Add(&Invalid{Field: "set", Message: path + ": set twice", Hint: "leave one of them out"})
		}
		changes[path] = strings.TrimSpace(value)
	}
	var refused *spec.Error
	if errors.As(m.Apply(changes), &refused) {
		for _, p := range refused.Problems {
			problems.Add(&Invalid{Field: "set", Message: p.Path + ": " + p.Message, Hint: p.Hint})
		}
	}
	return problems.Err()
}

func findMachine(name string) (*arch.Machine, error) {
	m, err := presets.Machine(name)
	var unknown *presets.Unknown
	if err == nil || !errors.As(err, &unknown) {
		return m, err
	}
	data, err := readFile(name, MaxFile)
	if errors.Is(err, fs.ErrNotExist) && !looksLikeFile(name) {
		return nil, &Invalid{Field: "arch", Message: unknown.Error(), Hint: "see strata arch list; a path to a file works too"}
	}
	if err != nil {
		return nil, &Invalid{Field: "arch", Message: err.Error()}
	}
	return arch.Load(name, data, presets.Machine)
}

// ModelOf finds a model: a preset by name, else a Hugging Face config.json or a model file.
func ModelOf(name string) (*llm.Model, error) {
	if m, err := llm.Preset(name); err == nil {
		return &m, nil
	}
	data, err := readFile(name, MaxFile)
	if errors.Is(err, fs.ErrNotExist) && !looksLikeFile(name) {
		msg := fmt.Sprintf("unknown model %q", name)
		if near := spec.Suggest(name, llm.Presets()); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, &Invalid{Field: "model", Message: msg, Hint: "see strata model list; a path to a config.json works too"}
	}
	if err != nil {
		return nil, &Invalid{Field: "model", Message: err.Error()}
	}
	m, err := llm.FromHF(name, data)
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// TraceOf reads an operator trace; "-" is standard input.
func TraceOf(name string, stdin io.Reader) (*traces.Graph, error) {
	if name == "-" {
		return traces.Read("standard input", stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &Invalid{Field: "trace", Message: err.Error()}
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, &Invalid{Field: "trace", Message: name + " is a directory"}
	}
	return traces.Read(name, f)
}

// MappingOf reads a mapping file.
func MappingOf(name string) (*plan.Pins, error) {
	data, err := readFile(name, MaxFile)
	if err != nil {
		return nil, &Invalid{Field: "mapping", Message: err.Error()}
	}
	return plan.ReadPins(name, data)
}

// MaxFile bounds machine, model and mapping files.
const MaxFile = 4 << 20

// ReadFile reads a description of at most MaxFile bytes.
func ReadFile(name string) ([]byte, error) { return readFile(name, MaxFile) }

// looksLikeFile reports whether a name is meant as a path rather than as a preset.
func looksLikeFile(name string) bool {
	return strings.ContainsAny(name, `/\`) || strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// readFile reads a file of at most max bytes.
func readFile(name string, max int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s is a directory", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, fmt.Errorf("%s is larger than %d bytes, too large for a description", name, max)
	}
	return data, nil
}

// Input is the content that a stored point was made from.
type Input struct {
	Hash    string // hex SHA-256 of Content
	Kind    string // "machine", "model", "trace", "cost" or "workload"
	Content []byte
}

func newInput(kind string, content []byte) Input {
	sum := sha256.Sum256(content)
	return Input{hex.EncodeToString(sum[:]), kind, content}
}

// stored is a point as the database keeps it.
type stored struct {
	Schema   string `json:"schema"`
	Machine  string `json:"machine_input"`
	Model    string `json:"model_input,omitempty"`
	Trace    string `json:"trace_input,omitempty"`
	Costs    string `json:"cost_input,omitempty"`
	Workload string `json:"workload_input,omitempty"`
	Draft    string `json:"draft_input,omitempty"`
	// Composition holds its models too.
	Composition string `json:"composition_input,omitempty"`
	// Unset says that the machine is without the changes of Set.
	Unset bool `json:"machine_unset,omitempty"`
	Options
}

const storedSchema = "strata.request/1"

// Store writes the point down: a line of JSON, and the inputs that it refers to.
func (p *Point) Store() (request string, inputs []Input, err error) {
	s := stored{Schema: storedSchema, Options: p.Options}
	b := p.Base
	if s.Unset = b != nil && len(p.Set) > 0; b == nil {
		if b, err = NewBase(p.Machine); err != nil {
			return "", nil, err
		}
	}
	in := b.in
	s.Machine, inputs = in.Hash, append(inputs, in)
	if p.Trace != nil {
		var b bytes.Buffer
		if err := p.Trace.Write(&b); err != nil {
			return "", nil, err
		}
		in = newInput("trace", b.Bytes())
		s.Trace = in.Hash
	} else {
		text, err := json.Marshal(p.Model)
		if err != nil {
			return "", nil, err
		}
		in = newInput("model", text)
		s.Model = in.Hash
	}
	inputs = append(inputs, in)
	if p.Workload != nil {
		in = newInput("workload", p.Workload.Content())
		s.Workload, inputs = in.Hash, append(inputs, in)
	}
	if p.Composition != nil {
		in = newInput("workload", p.Composition.Content())
		s.Composition, inputs = in.Hash, append(inputs, in)
	}
	if p.Draft != nil {
		text, err := json.Marshal(p.Draft)
		if err != nil {
			return "", nil, err
		}
		in = newInput("model", text)
		s.Draft, inputs = in.Hash, append(inputs, in)
	}
	if p.Costs != nil {
		in = newInput("cost", p.Costs.content())
		s.Costs, inputs = in.Hash, append(inputs, in)
	}
	line, err := json.Marshal(s)
	return string(line), inputs, err
}

// Restore reads a stored point; input finds the content of a hash.
func Restore(request string, input func(hash string) ([]byte, error)) (*Point, error) {
	var s stored
	if err := json.Unmarshal([]byte(request), &s); err != nil {
		return nil, fmt.Errorf("stored request: %w", err)
	}
	if s.Schema != storedSchema {
		return nil, fmt.Errorf("stored request has schema %q, this version reads %q", s.Schema, storedSchema)
	}
	p := &Point{Options: s.Options}
	if s.Workload != "" {
		data, err := input(s.Workload)
		if err != nil {
			return nil, err
		}
		if p.Workload, err = workload.Restore(data); err != nil {
			return nil, err
		}
	}
	if s.Composition != "" {
		data, err := input(s.Composition)
		if err != nil {
			return nil, err
		}
		if p.Composition, err = coe.Restore(data); err != nil {
			return nil, err
		}
	}
	if s.Costs != "" {
		data, err := input(s.Costs)
		if err != nil {
			return nil, err
		}
		if p.Costs, err = restoreCosts(s.Cost, data); err != nil {
			return nil, err
		}
	}
	if s.Draft != "" {
		data, err := input(s.Draft)
		if err != nil {
			return nil, err
		}
		p.Draft = &llm.Model{}
		if err := json.Unmarshal(data, p.Draft); err != nil {
			return nil, err
		}
	}
	data, err := input(s.Machine)
	if err != nil {
		return nil, err
	}
	if p.Machine, err = arch.Load("stored machine", data, presets.Machine); err != nil {
		return nil, err
	}
	if s.Unset {
		if err := apply(p.Machine, s.Set); err != nil {
			return nil, err
		}
	}
	if s.Trace != "" {
		if data, err = input(s.Trace); err != nil {
			return nil, err
		}
		p.Trace, err = traces.Read("stored trace", bytes.NewReader(data))
		return p, err
	}
	if data, err = input(s.Model); err != nil {
		return nil, err
	}
	p.Model = &llm.Model{}
	return p, json.Unmarshal(data, p.Model)
}
